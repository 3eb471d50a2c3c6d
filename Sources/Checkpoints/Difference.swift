// How two state dicts differ, tensor by tensor.

/// How far values may be apart: by `absolute + relative · |theirs|`, as numpy.allclose has it.
public struct Tolerance: Sendable {
  /// The absolute part.
  public var absolute: Double
  /// The part of the other value.
  public var relative: Double

  /// Equal values only, unless given.
  public init(absolute: Double = 0, relative: Double = 0) {
    (self.absolute, self.relative) = (absolute, relative)
  }
}

/// What differs between two state dicts.
public struct StateDictDifference: Sendable {
  /// How the tensors of one name differ.
  public enum Kind: Sendable {
    case shape([Int], [Int])
    case dtype(DType, DType)
    case values(ValueDifference)
    /// Values of a type that is compared byte by byte only.
    case bytes
  }

  /// Names that only the first has, in its order.
  public internal(set) var onlyHere: [String] = []
  /// Names that only the second has, in its order.
  public internal(set) var onlyThere: [String] = []
  /// The tensors that differ, in the first one's order.
  public internal(set) var differing: [(name: String, kind: Kind)] = []
  /// How many tensors are the same, or within the tolerance.
  public internal(set) var equal = 0

  /// Whether there is no difference.
  public var isEmpty: Bool { onlyHere.isEmpty && onlyThere.isEmpty && differing.isEmpty }
}

/// How far the values of two tensors are apart.
public struct ValueDifference: Sendable {
  /// The largest |a − b|; NaN on one side only counts as infinite.
  public internal(set) var largestAbsolute = 0.0
  /// The largest |a − b| / |b|.
  public internal(set) var largestRelative = 0.0
  /// Where the largest absolute difference is.
  public internal(set) var index: [Int] = []
  /// How many elements are further apart than the tolerance.
  public internal(set) var count = 0
  /// The cosine of the angle between both as vectors; NaN where one of them is zero.
  public internal(set) var cosine = Double.nan
}

extension StateDict {
  /// What differs between this and another state dict, by name.
  ///
  /// Types differ where they are not the same, unless values within a tolerance are asked for and both convert.
  ///
  /// - Throws: ``CheckpointError`` when a tensor can't be read.
  public func difference(
    from other: StateDict, tolerance: Tolerance = Tolerance()
  ) throws(CheckpointError) -> StateDictDifference {
    var result = StateDictDifference()
    result.onlyHere = names.filter { other[$0] == nil }
    result.onlyThere = other.names.filter { self[$0] == nil }
    let common = compactMap { name, tensor in other[name].map { (name, tensor, $0) } }
    let found = Locked<[Int: StateDictDifference.Kind]>([:])
    try inParallel(common.count) { index throws(CheckpointError) in
      let (name, a, b) = common[index]
      do throws(CheckpointError) {
        let kind = try a.difference(from: b, tolerance)
        if let kind { found.withLock { $0[index] = kind } }
      } catch {
        throw error.forTensor(name)
      }
    }
    let kinds = found.withLock { $0 }
    for (index, (name, _, _)) in common.enumerated() {
      if let kind = kinds[index] { result.differing.append((name, kind)) } else { result.equal += 1 }
    }
    return result
  }
}

extension Tensor {
  /// Nil where there is no difference.
  fileprivate func difference(
    from other: Tensor, _ tolerance: Tolerance
  ) throws(CheckpointError) -> StateDictDifference.Kind? {
    guard shape == other.shape else { return .shape(shape, other.shape) }
    let isLax = tolerance.absolute > 0 || tolerance.relative > 0
    guard dtype == other.dtype || isLax && dtype.convertsToFloat && other.dtype.convertsToFloat else {
      return .dtype(dtype, other.dtype)
    }
    if dtype == other.dtype, try contiguousBytes() == other.contiguousBytes() { return nil }
    guard dtype.convertsToFloat, other.dtype.convertsToFloat else { return .bytes }
    let difference = ValueDifference(try floats(), try other.floats(), shape: shape, tolerance)
    // Equal as float32, but not byte for byte: 0 and -0, or what needs more digits.
    return difference.count == 0 ? (isLax || dtype == .float32 ? nil : .bytes) : .values(difference)
  }
}

extension ValueDifference {
  fileprivate init(_ a: [Float], _ b: [Float], shape: [Int], _ tolerance: Tolerance) {
    var (position, product, normA, normB) = (0, 0.0, 0.0, 0.0)
    for (place, (left, right)) in zip(a, b).enumerated() {
      let (x, y) = (Double(left), Double(right))
      product += x * y
      normA += x * x
      normB += y * y
      if left == right || left.isNaN && right.isNaN { continue }
      let distance = (x - y).magnitude
      let apart = distance.isNaN ? Double.infinity : distance
      if apart == .infinity || apart > tolerance.absolute + tolerance.relative * y.magnitude { count += 1 }
      if apart > largestAbsolute { (largestAbsolute, position) = (apart, place) }
      largestRelative = max(largestRelative, apart / y.magnitude)
    }
    cosine = product / (normA * normB).squareRoot()
    for size in shape.reversed() {
      index.insert(position % max(1, size), at: 0)
      position /= max(1, size)
    }
  }
}
