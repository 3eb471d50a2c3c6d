// Large tensors piece by piece: what goes through all elements takes little memory, and all cores.

extension Tensor {
  /// Elements that are converted at a time: small enough for the cache, and for memory that is used again.
  static let pieceLength = 1 << 14
  /// Elements that make a job for a core.
  static let jobLength = 1 << 18

  /// Whether ``elements(_:)`` can take any range.
  var isDivisible: Bool {
    layout == .strided && quantization == nil && isContiguous && dtype.elementsPerByte == 1
  }

  /// The elements in `range` of row-major order, of a tensor that is divisible.
  ///
  /// - Throws: `.outsideStorage` when there are not as many.
  func elements(_ range: Range<Int>) throws(CheckpointError) -> Tensor {
    let (offset, overflow) = storageOffset.addingReportingOverflow(range.lowerBound)
    guard !overflow, range.lowerBound >= 0, range.upperBound <= elementCount else {
      throw CheckpointError(.outsideStorage, "has \(elementCount) elements, not \(range.upperBound).")
    }
    return try Tensor(
      dtype: dtype, shape: [range.count], strides: [1], storageOffset: offset, storage: storage)
  }

  /// The first `count` elements of row-major order.
  ///
  /// - Throws: as ``contiguousBytes(limits:)``.
  package func prefix(_ count: Int) throws(CheckpointError) -> Tensor {
    try divisible().elements(0..<min(count, elementCount))
  }

  /// The same values one after the other in row-major order: the tensor itself where they lie so, else a copy.
  ///
  /// - Throws: as ``contiguousBytes(limits:)``.
  func divisible() throws(CheckpointError) -> Tensor {
    if isDivisible { return self }
    let dense = try dense()
    if dense.isDivisible { return dense }
    return try Tensor(dtype: dtype, shape: shape, storage: Storage(dense.contiguousBytes()))
  }

  /// The place of an element of row-major order along each dimension.
  package func index(ofElement position: Int) -> [Int] {
    var (index, rest) = ([Int](repeating: 0, count: shape.count), position)
    for dimension in shape.indices.reversed() {
      let size = max(1, shape[dimension])
      index[dimension] = rest % size
      rest /= size
    }
    return index
  }
}

extension Range<Int> {
  /// The range cut into parts of `length`, of which the last may be shorter.
  func parts(of length: Int) -> [Range<Int>] {
    stride(from: lowerBound, to: upperBound, by: length).map { $0..<Swift.min($0 + length, upperBound) }
  }
}
