// Values that are no finite numbers, found by their bits: quickly whether there are any, then exactly which.

/// The bits that make an element of a type NaN or infinite: those under `mask` are `pattern`.
///
/// A complex number is two such elements.
struct NonFinitePattern: Hashable, Sendable {
  /// Bytes of an element.
  let size: Int
  let mask: UInt64
  let pattern: UInt64

  /// Nil for types that hold finite numbers only.
  init?(_ dtype: DType) {
    switch dtype {
    case .float64, .complex128: self.init(size: 8, exponent: 0x7FF0_0000_0000_0000)
    case .float32, .complex64: self.init(size: 4, exponent: 0x7F80_0000)
    case .float16, .complex32: self.init(size: 2, exponent: 0x7C00)
    case .bfloat16: self.init(size: 2, exponent: 0x7F80)
    case .float8_e5m2: self.init(size: 1, exponent: 0x7C)
    case .float8_e4m3fn: self.init(size: 1, exponent: 0x7F)
    case .float8_e4m3fnuz, .float8_e5m2fnuz: self.init(size: 1, mask: 0xFF, pattern: 0x80)
    case .float8_e8m0fnu: self.init(size: 1, exponent: 0xFF)
    default: return nil
    }
  }

  private init(size: Int, exponent: UInt64) { self.init(size: size, mask: exponent, pattern: exponent) }

  private init(size: Int, mask: UInt64, pattern: UInt64) {
    (self.size, self.mask, self.pattern) = (size, mask, pattern)
  }

  /// Whether there is such an element; what is left over at the end is passed over.
  func occurs(in bytes: UnsafeRawBufferPointer) -> Bool {
    switch size {
    case 8: unsafe occurs(in: bytes, UInt64.self)
    case 4: unsafe occurs(in: bytes, UInt32.self)
    case 2: unsafe occurs(in: bytes, UInt16.self)
    default: unsafe occurs(in: bytes, UInt8.self)
    }
  }

  @inline(__always)
  private func occurs<Element: FixedWidthInteger>(
    in bytes: UnsafeRawBufferPointer, _ type: Element.Type
  ) -> Bool {
    let (mask, pattern) = (
      Element(truncatingIfNeeded: mask).littleEndian, Element(truncatingIfNeeded: pattern).littleEndian
    )
    guard let start = bytes.baseAddress else { return false }
    // Without a way out of the loop, so that it is compiled to vectors.
    var found: Element = 0
    for index in 0..<bytes.count / MemoryLayout<Element>.size {
      let bits = unsafe start.loadUnaligned(
        fromByteOffset: index &* MemoryLayout<Element>.size, as: Element.self)
      found |= bits & mask == pattern ? 1 : 0
    }
    return found != 0
  }

  /// Whether an element with such bits is NaN; else it is infinite.
  private func isNaN(_ bits: UInt64) -> Bool {
    switch size {
    case 8: Double(bitPattern: bits).isNaN
    case 4: Float(bitPattern: UInt32(truncatingIfNeeded: bits)).isNaN
    // Infinities have nothing but zeros below the exponent, in types that have any.
    case 2: bits & ~(mask | 0x8000) != 0
    default: mask != 0x7C || bits & 3 != 0
    }
  }

  /// The elements of a run of bytes that are not finite.
  func elements(of bytes: Bytes) -> NonFinite {
    var result = NonFinite()
    for position in 0..<bytes.count / size {
      var bits: UInt64 = 0
      for byte in (0..<size).reversed() {
        bits = bits << 8 | UInt64(bytes.load(UInt8.self, at: position * size + byte) ?? 0)
      }
      guard bits & mask == pattern else { continue }
      if isNaN(bits) { result.nans += 1 } else { result.infinities += 1 }
      if result.first == nil {
        let isNegative = bits >> UInt64(8 * size - 1) == 1
        result.first = (position, isNaN(bits) ? "NaN" : isNegative ? "-inf" : "inf")
      }
    }
    return result
  }
}

/// How many elements are not finite, and the first of them.
struct NonFinite {
  var nans = 0
  var infinities = 0
  var first: (position: Int, value: String)?
}

extension Tensor {
  /// The tensor with what an expanded view repeats once.
  func unexpanded() throws(CheckpointError) -> Tensor {
    try Tensor(
      dtype: dtype, shape: zip(shape, strides).map { $1 == 0 ? min($0, 1) : $0 }, strides: strides,
      storageOffset: storageOffset, storage: storage)
  }

  /// What in the tensor is not finite; nil where all is.
  ///
  /// - Throws: ``CheckpointError`` when the elements can't be read.
  func nonFinite(limits: Limits) throws(CheckpointError) -> (NonFinite, index: [Int])? {
    guard let pattern = NonFinitePattern(dtype), layout == .strided else { return nil }
    let distinct = try unexpanded()
    let bytes = try distinct.contiguousBytes(limits: limits)
    guard unsafe bytes.withUnsafeBytes({ unsafe pattern.occurs(in: $0) }) else { return nil }
    let found = pattern.elements(of: bytes)
    guard let first = found.first else { return nil }
    let numbers = dtype.size / pattern.size
    return (found, distinct.index(ofElement: first.position / numbers))
  }
}
