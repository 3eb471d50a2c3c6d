// Conversion of a tensor's elements to Float, as `tensor.to(torch.float32)` does it; Precision.swift goes the other way.

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
    return try floats(in: contiguousBytes())
  }

  /// Some of the elements as Float, those from the first of `range` on in row-major order.
  ///
  /// - Throws: as ``floats()``; nothing is made dense.
  package func floats(ofElements range: Range<Int>) throws(CheckpointError) -> [Float] {
    guard dtype.convertsToFloat else {
      throw CheckpointError(.notRepresentable, "is \(dtype), which has no conversion to Float.")
    }
    return try floats(in: bytes(ofElements: range))
  }

  private func floats(in bytes: Bytes) -> [Float] {
    let elements = bytes.count / dtype.size
    return unsafe [Float](unsafeUninitializedCapacity: elements) { target, count in
      unsafe bytes.withUnsafeBytes { source in
        unsafe convert(source, to: UnsafeMutableBufferPointer(rebasing: target[..<elements]))
      }
      count = elements
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

  /// Fills `target`.
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
    for index in target.indices {
      let bits = unsafe source.loadUnaligned(
        fromByteOffset: index * MemoryLayout<Element>.size, as: Element.self)
      unsafe target.initializeElement(at: index, to: convert(Element(littleEndian: bits)))
    }
  }
}

extension Tensor {
  /// A float32 tensor whose elements are computed when they are asked for.
  ///
  /// - Throws: `.limitExceeded` for a shape that can't be addressed.
  package init(
    shape: [Int], origin: String, computing values: @escaping @Sendable () throws(CheckpointError) -> [Float]
  ) throws(CheckpointError) {
    let size = DType.float32.size
    guard let count = Tensor.product(shape), !count.multipliedReportingOverflow(by: size).overflow else {
      throw CheckpointError(.limitExceeded, "has shape \(shape), which is more than can be addressed.")
    }
    let made = Storage.Source.generated { () throws(CheckpointError) in
      try Tensor(shape: shape, values()).contiguousBytes()
    }
    try self.init(
      dtype: .float32, shape: shape, storage: Storage(made, byteCount: count * size, origin: origin))
  }
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
