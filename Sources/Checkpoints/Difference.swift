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
    /// Both shapes.
    case shape([Int], [Int])
    /// Both element types.
    case dtype(DType, DType)
    /// How far the values are apart.
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
    try difference(from: other) { pairs throws(CheckpointError) in try pairs.kinds(tolerance) }
  }

  /// As ``difference(from:tolerance:)``, but 0 and -0, and NaN of different bits, differ too.
  ///
  /// - Throws: ``CheckpointError`` when a tensor can't be read.
  package func exactDifference(from other: StateDict) throws(CheckpointError) -> StateDictDifference {
    try difference(from: other) { pairs throws(CheckpointError) in try pairs.exactKinds() }
  }

  private func difference(
    from other: StateDict,
    _ compare: (TensorPairs) throws(CheckpointError) -> [StateDictDifference.Kind?]
  ) throws(CheckpointError) -> StateDictDifference {
    var result = StateDictDifference()
    result.onlyHere = names.filter { other[$0] == nil }
    result.onlyThere = other.names.filter { self[$0] == nil }
    let pairs = TensorPairs(
      compactMap { name, tensor in other[name].map { .init(name: name, here: tensor, there: $0) } })
    for (pair, kind) in zip(pairs.pairs, try compare(pairs)) {
      if let kind { result.differing.append((pair.name, kind)) } else { result.equal += 1 }
    }
    return result
  }
}

extension Tensor {
  /// How far the values are from those of a tensor of the same shape.
  ///
  /// - Throws: ``CheckpointError`` when one of them can't be read, or does not convert to Float.
  package func valueDifference(
    from other: Tensor, tolerance: Tolerance = Tolerance()
  ) throws(CheckpointError) -> ValueDifference {
    var sums = DistanceSums()
    let (here, there) = (try divisible(), try other.divisible())
    for range in (0..<elementCount).parts(of: Tensor.jobLength) {
      sums.join(try DistanceSums(here, there, range, tolerance))
    }
    return ValueDifference(sums, of: self)
  }
}

extension ValueDifference {
  init(_ sums: DistanceSums, of tensor: Tensor) {
    largestAbsolute = sums.largestAbsolute
    largestRelative = sums.largestRelative
    index = tensor.index(ofElement: sums.position)
    count = sums.count
    cosine = sums.product / (sums.squaresHere * sums.squaresThere).squareRoot()
  }
}
