// The tensors of two state dicts by pairs, compared on all cores: first their bytes, then the values of what is not
// the same. Tensors that lie in one piece are compared part by part where they lie.

struct TensorPairs: Sendable {
  struct Pair: Sendable {
    let name: String
    let here: Tensor
    let there: Tensor

    /// Whether parts of both can be compared by themselves.
    var isDivisible: Bool { here.isDivisible && there.isDivisible }

    /// Gives back the memory that files take of this process for these elements.
    func release(_ range: Range<Int>) {
      guard isDivisible else { return }
      for tensor in [here, there] { (try? tensor.elements(range).contiguousBytes())?.release() }
    }
  }

  let pairs: [Pair]

  init(_ pairs: [Pair]) { self.pairs = pairs }

  /// What differs in each pair; nil where nothing does.
  func kinds(_ tolerance: Tolerance) throws(CheckpointError) -> [StateDictDifference.Kind?] {
    let isLax = tolerance.absolute > 0 || tolerance.relative > 0
    func convert(_ pair: Pair) -> Bool { pair.here.hasValues && pair.there.hasValues }
    var kinds = declaredKinds { isLax && convert($0) }

    let open = pairs.indices.filter { kinds[$0] == nil }
    let sameBytes = try areByteForByteEqual(open.filter { pairs[$0].here.dtype == pairs[$0].there.dtype })
    let different = open.filter { !sameBytes.contains($0) }
    for index in different { kinds[index] = .bytes }
    let measured = different.filter { convert(pairs[$0]) }
    for (index, sums) in zip(measured, try distances(measured, tolerance)) {
      let pair = pairs[index]
      if sums.count > 0 {
        kinds[index] = .values(ValueDifference(sums, of: pair.here))
      } else if isLax || pair.here.dtype == .float32 {
        kinds[index] = nil
      }  // else equal as float32, but not byte for byte: 0 and -0, or what needs more digits
    }
    return kinds
  }

  /// What differs in each pair when every bit counts.
  func exactKinds() throws(CheckpointError) -> [StateDictDifference.Kind?] {
    var kinds = declaredKinds { _ in false }
    let open = pairs.indices.filter { kinds[$0] == nil }
    let sameBytes = try areByteForByteEqual(open)
    for index in open where !sameBytes.contains(index) { kinds[index] = .bytes }
    return kinds
  }

  /// What differs in shape, or in a type that may not.
  private func declaredKinds(_ mayDiffer: (Pair) -> Bool) -> [StateDictDifference.Kind?] {
    pairs.map { pair in
      if pair.here.shape != pair.there.shape { return .shape(pair.here.shape, pair.there.shape) }
      if pair.here.dtype != pair.there.dtype, !mayDiffer(pair) {
        return .dtype(pair.here.dtype, pair.there.dtype)
      }
      return nil
    }
  }

  // MARK: Parts

  /// A part of a pair; the whole where it can't be divided.
  private struct Part: Sendable {
    let pair: Int
    let range: Range<Int>
  }

  private func parts(_ chosen: [Int]) -> [Part] {
    chosen.flatMap { index -> [Part] in
      let whole = 0..<pairs[index].here.elementCount
      guard pairs[index].isDivisible, whole.count > Tensor.jobLength else {
        return [Part(pair: index, range: whole)]
      }
      return whole.parts(of: Tensor.jobLength).map { Part(pair: index, range: $0) }
    }
  }

  /// Calls `body` with the parts of the chosen pairs on all cores; errors name the tensor.
  private func forEachPart(
    _ parts: [Part], _ body: @Sendable (_ number: Int, Part) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    try inParallel(parts.count) { number throws(CheckpointError) in
      do throws(CheckpointError) {
        try body(number, parts[number])
      } catch {
        throw error.forTensor(pairs[parts[number].pair].name)
      }
    }
  }

  /// Those of the chosen pairs whose bytes are the same.
  private func areByteForByteEqual(_ chosen: [Int]) throws(CheckpointError) -> Set<Int> {
    let different = Locked<Set<Int>>([])
    try forEachPart(parts(chosen)) { _, part throws(CheckpointError) in
      if different.withLock({ $0.contains(part.pair) }) { return }
      let pair = pairs[part.pair]
      let areEqual =
        pair.isDivisible
        ? try pair.here.elements(part.range).contiguousBytes()
          == pair.there.elements(part.range).contiguousBytes()
        : try pair.here.hasSameBytes(as: pair.there)
      if areEqual {
        pair.release(part.range)
      } else {
        different.withLock { _ = $0.insert(part.pair) }
      }
    }
    return different.withLock { Set(chosen).subtracting($0) }
  }

  /// How far the values of each of the chosen pairs are apart.
  private func distances(_ chosen: [Int], _ tolerance: Tolerance) throws(CheckpointError) -> [DistanceSums] {
    let parts = parts(chosen)
    let found = Locked([DistanceSums](repeating: DistanceSums(), count: parts.count))
    try forEachPart(parts) { number, part throws(CheckpointError) in
      let (here, there) = (try pairs[part.pair].here.divisible(), try pairs[part.pair].there.divisible())
      let sums = try DistanceSums(here, there, part.range, tolerance)
      found.withLock { $0[number] = sums }
      pairs[part.pair].release(part.range)
    }
    // Joined in order, so that the first of equal differences is the one that is told.
    var joined: [Int: DistanceSums] = [:]
    for (part, sums) in zip(parts, found.withLock { $0 }) {
      joined[part.pair, default: DistanceSums()].join(sums)
    }
    return chosen.map { joined[$0] ?? DistanceSums() }
  }
}

extension Tensor {
  /// Whether there is a Float for each element.
  fileprivate var hasValues: Bool { dtype.convertsToFloat && ![.nested, .jagged, .meta].contains(layout) }

  /// Whether a tensor of the same type and shape is the same in every byte, those of its components included.
  fileprivate func hasSameBytes(as other: Tensor) throws(CheckpointError) -> Bool {
    guard layout == other.layout, quantization == other.quantization,
      components.map(\.name) == other.components.map(\.name)
    else { return false }
    if layout == .strided { return try contiguousBytes() == other.contiguousBytes() }
    for ((_, mine), (_, theirs)) in zip(components, other.components) {
      guard mine.dtype == theirs.dtype, mine.shape == theirs.shape, try mine.hasSameBytes(as: theirs) else {
        return false
      }
    }
    return true
  }
}
