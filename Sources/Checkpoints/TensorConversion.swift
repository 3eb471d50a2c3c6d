// Conversion of a tensor's elements to Float, as `tensor.to(torch.float32)` does it.

extension Tensor {
  /// The elements as Float in row-major order.
  ///
  /// Integers and float64 are rounded to the nearest Float.
  ///
  /// Quantized and sparse tensors are made dense first.
  ///
  /// - Throws: `.notRepresentable` for complex, 4-bit float and bit types, and whatever
  ///   ``dense(limits:)`` and ``contiguousBytes(limits:)`` throw.
  public func floats() throws(CheckpointError) -> [Float] {
    guard layout == .strided, quantization == nil else { return try dense().floats() }
    guard dtype.convertsToFloat else {
      throw CheckpointError(.notRepresentable, "is \(dtype), which has no conversion to Float.")
    }
    let bytes = try contiguousBytes()
    return unsafe [Float](unsafeUninitializedCapacity: elementCount) { target, count in
      unsafe bytes.withUnsafeBytes { source in unsafe convert(source, to: target) }
      count = elementCount
    }
  }

  /// Calls `body` with the elements as Float in row-major order: where they lie, if they lie so.
  ///
  /// - Throws: whatever ``floats()`` throws.
  package func withFloats<Result>(_ body: (UnsafeBufferPointer<Float>) -> Result) throws(CheckpointError)
    -> Result
  {
    #if _endian(little)
      if dtype == .float32, layout == .strided, quantization == nil {
        let inPlace: Result? = unsafe try contiguousBytes().withUnsafeBytes { bytes in
          let address = unsafe bytes.baseAddress.map { UInt(bitPattern: $0) } ?? 1
          guard address % UInt(MemoryLayout<Float>.alignment) == 0 else { return nil }
          return unsafe bytes.withMemoryRebound(to: Float.self, body)
        }
        if let inPlace { return inPlace }
      }
    #endif
    return try unsafe floats().withUnsafeBufferPointer(body)
  }

  /// Writes `elementCount` Floats to `target`.
  private func convert(_ source: UnsafeRawBufferPointer, to target: UnsafeMutableBufferPointer<Float>) {
    switch dtype {
    case .float32: unsafe fill(target, source, UInt32.self) { Float(bitPattern: $0) }
    case .float64: unsafe fill(target, source, UInt64.self) { Float(Double(bitPattern: $0)) }
    case .float16: unsafe fill(target, source, UInt16.self, floatFromFloat16)
    case .bfloat16: unsafe fill(target, source, UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
    case .int64: unsafe fill(target, source, Int64.self) { Float($0) }
    case .int32: unsafe fill(target, source, Int32.self) { Float($0) }
    case .int16: unsafe fill(target, source, Int16.self) { Float($0) }
    case .int8: unsafe fill(target, source, Int8.self) { Float($0) }
    case .uint64: unsafe fill(target, source, UInt64.self) { Float($0) }
    case .uint32: unsafe fill(target, source, UInt32.self) { Float($0) }
    case .uint16: unsafe fill(target, source, UInt16.self) { Float($0) }
    case .uint8: unsafe fill(target, source, UInt8.self) { Float($0) }
    case .bool: unsafe fill(target, source, UInt8.self) { $0 == 0 ? 0 : 1 }
    default:
      let values = dtype.float8Values ?? []
      unsafe fill(target, source, UInt8.self) { Int($0) < values.count ? values[Int($0)] : .nan }
    }
  }

  private func fill<Element: FixedWidthInteger>(
    _ target: UnsafeMutableBufferPointer<Float>, _ source: UnsafeRawBufferPointer, _ type: Element.Type,
    _ convert: (Element) -> Float
  ) {
    for index in 0..<elementCount {
      let bits = unsafe source.loadUnaligned(
        fromByteOffset: index * MemoryLayout<Element>.size, as: Element.self)
      unsafe target.initializeElement(at: index, to: convert(Element(littleEndian: bits)))
    }
  }
}

extension Tensor {
  /// The tensor with elements of `dtype`, as `tensor.to(dtype)` rounds them; made when they are asked for.
  ///
  /// - Throws: `.unsupported` for conversions that PyTorch's files don't ask for.
  func converted(to dtype: DType?) throws(CheckpointError) -> Tensor {
    guard let dtype, dtype != self.dtype else { return self }
    guard layout == .strided, self.dtype == .float32 || self.dtype == .float64,
      [.float32, .float16, .bfloat16].contains(dtype)
    else {
      throw CheckpointError(
        .unsupported, "is saved as \(self.dtype) to be read as \(dtype), which rsw does not convert.")
    }
    let source = self
    let made = Storage.Source.generated { () throws(CheckpointError) in
      let floats = try source.floats()
      var bytes: [UInt8] = []
      bytes.reserveCapacity(floats.count * dtype.size)
      for value in floats {
        let bits =
          switch dtype {
          case .float16: UInt32(float16(value))
          case .bfloat16: UInt32(bfloat16(value))
          default: value.bitPattern
          }
        for byte in 0..<dtype.size { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(8 * byte))) }
      }
      return Bytes(bytes)
    }
    let (byteCount, overflow) = elementCount.multipliedReportingOverflow(by: dtype.size)
    guard !overflow, self.byteCount <= storage.byteCount else {
      throw CheckpointError(.limitExceeded, "is an expanded view that has to be converted as a whole.")
    }
    return try Tensor(
      dtype: dtype, shape: shape,
      storage: Storage(made, byteCount: byteCount, origin: storage.origin, device: storage.device))
  }
}

/// Binary32 → bfloat16, to the nearest, ties to even.
private func bfloat16(_ value: Float) -> UInt16 {
  let bits = value.bitPattern
  if value.isNaN { return 0x7FC0 }
  return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
}

/// Binary32 → IEEE 754 binary16, to the nearest, ties to even.
private func float16(_ value: Float) -> UInt16 {
  let sign = UInt16(truncatingIfNeeded: value.bitPattern >> 16 & 0x8000)
  if value.isNaN { return sign | 0x7E00 }
  let magnitude = value.magnitude
  if magnitude >= 65520 { return sign | 0x7C00 }  // rounds to infinity
  if magnitude < 0x1p-14 {  // denormal: a multiple of 2⁻²⁴
    return sign | UInt16((magnitude * 0x1p24).rounded(.toNearestOrEven))
  }
  // Rounding at the 13th bit may carry into the exponent, as it should.
  let bits = magnitude.bitPattern
  let rounded = (bits &+ 0xFFF &+ (bits >> 13 & 1)) >> 13
  return sign | UInt16(truncatingIfNeeded: rounded &- (112 << 10))
}

/// IEEE 754 binary16 → binary32, exact; written out because Float16 is not there on every platform.
private func floatFromFloat16(_ half: UInt16) -> Float {
  let sign = UInt32(half & 0x8000) << 16
  let exponent = UInt32(half >> 10) & 0x1F
  let fraction = UInt32(half & 0x3FF)
  switch exponent {
  case 0:  // zero or denormal: fraction · 2⁻²⁴
    let magnitude = Float(fraction) * 0x1p-24
    return Float(bitPattern: sign | magnitude.bitPattern)
  case 0x1F:  // infinity or NaN, which stays as it is
    return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
  default:
    return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}
