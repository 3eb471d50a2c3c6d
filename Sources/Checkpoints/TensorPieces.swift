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

// MARK: Bytes

extension Tensor {
  /// Some of the elements in row-major order, those from the first of `range` on; shares the storage's memory when
  /// they already lie so.
  ///
  /// - Throws: as ``contiguousBytes(limits:)``, but for the limit.
  func bytes(ofElements range: Range<Int>) throws(CheckpointError) -> Bytes {
    guard layout == .strided else { throw layout.error }
    guard !range.isEmpty else { return Bytes([]) }
    if dtype.elementsPerByte > 1 {
      let (each, last) = (dtype.elementsPerByte, range.upperBound - 1)
      return try storage.bytes(in: range.lowerBound / each..<last / each + 1)
    }
    if isContiguous {
      let start = (storageOffset + range.lowerBound) * dtype.size
      return try storage.bytes(in: start..<start + range.count * dtype.size)
    }
    guard let source = try storage.bytes().slice(0, storage.byteCount) else {
      throw CheckpointError(.outsideStorage, "its storage does not hold \(storage.byteCount) bytes.")
    }
    return unsafe Bytes(count: range.count * dtype.size) { target in
      unsafe source.withUnsafeBytes { source in unsafe gather(range, of: source, into: target) }
    }
  }

  /// Copies elements in row-major order. `init` has checked that all lie inside `source`.
  private func gather(
    _ range: Range<Int>, of source: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) {
    guard let source = source.baseAddress, let target = target.baseAddress else { return }
    let size = dtype.size
    let inner = shape.last ?? 1
    let innerStride = strides.last ?? 1
    // An odometer over the outer dimensions, at the row of the first element.
    let outer = max(shape.count - 1, 0)
    var index = [Int](repeating: 0, count: outer)
    var row = storageOffset
    var rest = range.lowerBound / inner
    for dimension in (0..<outer).reversed() {
      index[dimension] = rest % shape[dimension]
      // Wrapping, as the stride of a dimension of size 1 may be any number.
      row &+= index[dimension] &* strides[dimension]
      rest /= shape[dimension]
    }
    var column = range.lowerBound % inner
    var done = 0
    while done < range.count {
      let count = min(inner - column, range.count - done)
      unsafe Tensor.copy(
        count, from: source + (row + column * innerStride) * size, stride: innerStride, size: size,
        to: target + done * size)
      done += count
      column = 0
      var dimension = outer - 1
      while dimension >= 0 {
        index[dimension] += 1
        row &+= strides[dimension]
        if index[dimension] < shape[dimension] { break }
        row &-= strides[dimension] &* shape[dimension]
        index[dimension] = 0
        dimension -= 1
      }
    }
  }

  /// Copies `count` elements of `size` bytes that lie `stride` elements apart.
  private static func copy(
    _ count: Int, from source: UnsafeRawPointer, stride: Int, size: Int, to target: UnsafeMutableRawPointer
  ) {
    func copy<Element: FixedWidthInteger>(_ type: Element.Type) {
      for index in 0..<count {
        let element = unsafe source.loadUnaligned(fromByteOffset: index * stride * size, as: Element.self)
        unsafe target.storeBytes(of: element, toByteOffset: index * size, as: Element.self)
      }
    }
    if stride == 1 || count == 1 {
      unsafe target.copyMemory(from: source, byteCount: count * size)
      return
    }
    switch size {
    case 1: copy(UInt8.self)
    case 2: copy(UInt16.self)
    case 4: copy(UInt32.self)
    case 8: copy(UInt64.self)
    default: copy(UInt128.self)
    }
  }
}

extension Range<Int> {
  /// The range cut into parts of `length`, of which the last may be shorter.
  func parts(of length: Int) -> [Range<Int>] {
    stride(from: lowerBound, to: upperBound, by: length).map { $0..<Swift.min($0 + length, upperBound) }
  }
}
