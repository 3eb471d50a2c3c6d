// Conversion to floating-point types of fewer bits, as `tensor.to(dtype)` rounds: to the nearest, ties to even; float64
// becomes float32 first, as in PyTorch. Elements are converted when they are written, a piece at a time.

extension StateDict {
  /// The state dict with tensors of `dtype` in the place of those that `isChosen` names.
  ///
  /// Tensors that have this type already and those of types that don't convert stay as they are.
  ///
  /// - Returns: the state dict, and what the type could not hold.
  /// - Throws: what is wrong with a tensor.
  public func converted(
    to dtype: DType, where isChosen: (_ name: String, _ tensor: Tensor) -> Bool = { $1.dtype.isFloatingPoint }
  ) throws(CheckpointError) -> (stateDict: StateDict, losses: [PrecisionLoss]) {
    var result = self
    var changed: [Element] = []
    for (name, tensor) in self
    where tensor.dtype != dtype && tensor.layout == .strided && tensor.dtype.convertsToFloat
      && isChosen(name, tensor)
    {
      do throws(CheckpointError) {
        result.update(name, try tensor.converted(to: dtype))
      } catch {
        throw error.forTensor(name)
      }
      changed.append((name, tensor))
    }
    let found = Locked([PrecisionLoss?](repeating: nil, count: changed.count))
    try inParallel(changed.count) { [changed] index throws(CheckpointError) in
      let (name, tensor) = changed[index]
      do throws(CheckpointError) {
        let loss = try tensor.loss(name, to: dtype)
        found.withLock { $0[index] = loss }
      } catch {
        throw error.forTensor(name)
      }
    }
    return (result, found.withLock { $0 }.compactMap { $0 })
  }
}

/// What a tensor that was converted could not keep.
public struct PrecisionLoss: Sendable {
  /// The tensor's name.
  public let name: String
  /// The number of its elements.
  public let elements: Int
  /// How many finite elements are beyond the type's largest number, and became infinite.
  public internal(set) var overflows = 0
  /// How many elements other than zero are below the type's smallest number, and became zero.
  public internal(set) var underflows = 0
}

extension Tensor {
  /// The tensor with elements of `dtype`, which are made when they are asked for.
  ///
  /// - Throws: `.unsupported` for conversions that there are not.
  package func converted(to dtype: DType?) throws(CheckpointError) -> Tensor {
    guard let dtype, dtype != self.dtype else { return self }
    guard layout == .strided, self.dtype.convertsToFloat, [.float32, .float16, .bfloat16].contains(dtype)
    else {
      throw CheckpointError(
        .unsupported, "is saved as \(self.dtype) to be read as \(dtype), which rsw does not convert.")
    }
    let (byteCount, overflow) = elementCount.multipliedReportingOverflow(by: dtype.size)
    guard !overflow, self.byteCount <= storage.byteCount else {
      throw CheckpointError(.limitExceeded, "is an expanded view that has to be converted as a whole.")
    }
    return try Tensor(
      dtype: dtype, shape: shape,
      storage: Storage(
        .converted(self, dtype), byteCount: byteCount, origin: storage.origin, device: storage.device))
  }

  /// Some of the elements in another type, little-endian.
  func bytes(ofElements range: Range<Int>, as dtype: DType) throws(CheckpointError) -> Bytes {
    let floats = try floats(ofElements: range)
    return unsafe Bytes(count: floats.count * dtype.size) { target in
      switch dtype {
      case .float16: unsafe fill(target, floats, float16)
      case .bfloat16: unsafe fill(target, floats, bfloat16)
      default: unsafe fill(target, floats, \.bitPattern)
      }
    }
  }

  private func fill<Element: FixedWidthInteger>(
    _ target: UnsafeMutableRawBufferPointer, _ floats: [Float], _ bits: (Float) -> Element
  ) {
    for index in floats.indices {
      unsafe target.storeBytes(
        of: bits(floats[index]).littleEndian, toByteOffset: index * MemoryLayout<Element>.size,
        as: Element.self)
    }
  }

  /// What the elements lose in `dtype`.
  fileprivate func loss(_ name: String, to dtype: DType) throws(CheckpointError) -> PrecisionLoss {
    var loss = PrecisionLoss(name: name, elements: elementCount)
    let infinite = dtype.roundedToInfinity
    let zero = dtype.roundedToZero
    for range in (0..<elementCount).parts(of: Tensor.jobLength) {
      defer { storage.releaseFile() }
      if self.dtype == .float64 {
        let bytes = try bytes(ofElements: range)
        for index in 0..<range.count {
          let value = Double(bitPattern: bytes.load(UInt64.self, at: index * 8) ?? 0).magnitude
          let rounded = Float(value)
          if value.isFinite, rounded >= infinite { loss.overflows += 1 }
          if value != 0, rounded <= zero { loss.underflows += 1 }
        }
      } else {
        for value in try floats(ofElements: range) {
          let magnitude = value.magnitude
          if magnitude.isFinite, magnitude >= infinite { loss.overflows += 1 }
          if magnitude != 0, magnitude <= zero { loss.underflows += 1 }
        }
      }
    }
    return loss
  }
}

extension DType {
  /// The smallest number that is rounded to infinity.
  fileprivate var roundedToInfinity: Float {
    switch self {
    case .float16: 65520
    case .bfloat16: 0x1.FFp127
    default: .infinity
    }
  }

  /// The largest number that is rounded to zero.
  fileprivate var roundedToZero: Float {
    switch self {
    case .float16: 0x1p-25
    case .bfloat16: 0x1p-134
    default: 0
    }
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
