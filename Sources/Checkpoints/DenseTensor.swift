// From quantized and sparse tensors to ordinary ones, as torch's dequantize() and to_dense() do it.

extension Tensor {
  /// The same values as an ordinary tensor: quantized integers become float32, sparse tensors get
  /// their zeros. An ordinary tensor is returned as it is.
  ///
  /// - Throws: `.notRepresentable` for nested tensors, `.noElements` for those of the meta device,
  ///   `.malformed` when the parts don't fit together, `.limitExceeded` beyond ``Limits/expandedBytes``.
  public func dense(limits: Limits = Limits()) throws(CheckpointError) -> Tensor {
    switch layout {
    case .strided:
      guard let quantization else { return self }
      return try dequantized(quantization, limits)
    case .nested, .jagged, .meta: throw layout.error
    case .sparseCOO: return try assembled(CoordinateParts(self), limits)
    case .sparseCSR, .sparseBSR, .sparseCSC, .sparseBSC:
      return try assembled(CompressedParts(self), limits)
    }
  }

  /// The tensors that a nested tensor holds, each a view of its buffer.
  ///
  /// - Throws: `.notRepresentable` when this is no nested tensor, `.malformed` or `.outsideStorage`
  ///   when its parts don't fit together.
  public func nestedParts() throws(CheckpointError) -> [Tensor] {
    if layout == .jagged { return try jaggedParts() }
    guard layout == .nested else {
      throw CheckpointError(.notRepresentable, "is no nested tensor, so it has no parts.")
    }
    let buffer = try component("buffer")
    let sizes = try component("sizes")
    let strides = try component("strides")
    let offsets = try component("storage_offsets").ints()
    guard sizes.shape.count == 2, sizes.shape == strides.shape, sizes.shape[0] == offsets.count else {
      throw CheckpointError(.malformed, "has sizes, strides and offsets that don't belong together.")
    }
    let rank = sizes.shape[1]
    let (allSizes, allStrides) = (try sizes.ints(), try strides.ints())
    var parts: [Tensor] = []
    for index in offsets.indices {
      let range = index * rank..<(index + 1) * rank
      let (offset, overflow) = buffer.storageOffset.addingReportingOverflow(offsets[index])
      guard !overflow else { throw CheckpointError(.malformed, "has an offset out of range.") }
      parts.append(
        try Tensor(
          dtype: buffer.dtype, shape: Array(allSizes[range]), strides: Array(allStrides[range]),
          storageOffset: offset, storage: buffer.storage))
    }
    return parts
  }

  /// The rows of `values` between each two of `offsets` or, where there are `lengths`, as many from there.
  private func jaggedParts() throws(CheckpointError) -> [Tensor] {
    let values = try component("values")
    let offsets = try component("offsets").ints()
    let lengths = components.contains { $0.name == "lengths" } ? try component("lengths").ints() : nil
    guard let rows = values.shape.first, let rowStride = values.strides.first, !offsets.isEmpty,
      lengths.map({ $0.count == offsets.count - 1 }) ?? true
    else { throw mismatchedParts }
    var parts: [Tensor] = []
    for (index, (start, next)) in zip(offsets, offsets.dropFirst()).enumerated() {
      guard 0 <= start, start <= next, next <= rows, lengths.map({ 0...(next - start) ~= $0[index] }) ?? true
      else {
        throw CheckpointError(
          .malformed, "has offsets that do not increase. Get the file again.")
      }
      parts.append(
        try Tensor(
          dtype: values.dtype, shape: [lengths?[index] ?? next - start] + values.shape.dropFirst(),
          strides: values.strides, storageOffset: values.storageOffset &+ start &* rowStride,
          storage: values.storage))
    }
    return parts
  }

  // MARK: Quantized

  private func dequantized(_ quantization: Quantization, _ limits: Limits) throws(CheckpointError) -> Tensor {
    try checkExpansion(elementCount.multipliedReportingOverflow(by: 4), limits)
    let integers = try quantizedIntegers()
    var values = [Float](repeating: 0, count: elementCount)
    switch quantization {
    case .perTensor(let scale, let zeroPoint):
      let (scale, zeroPoint) = (Float(scale), Float(zeroPoint))
      for index in values.indices { values[index] = scale * (Float(integers[index]) - zeroPoint) }
    case .perChannel(let scales, let zeroPoints, let axis, let precision):
      let inner = Tensor.product(Array(shape[(axis + 1)...])) ?? 0
      for index in values.indices {
        let channel = index / inner % scales.count
        values[index] =
          precision == .float32
          ? Float(scales[channel]) * (Float(integers[index]) - Float(zeroPoints[channel]))
          : Float(scales[channel] * (Double(integers[index]) - zeroPoints[channel]))
      }
    }
    return try Tensor(shape: shape, values)
  }

  /// The integers of a quantized tensor in row-major order.
  private func quantizedIntegers() throws(CheckpointError) -> [Int32] {
    let bytes = try contiguousBytes()
    let perByte = dtype.elementsPerByte
    let bits = 8 / perByte
    return (0..<elementCount).map { index in
      switch dtype {
      case .qint32: return bytes.load(Int32.self, at: index * 4) ?? 0
      case .qint8: return Int32(bytes.load(Int8.self, at: index) ?? 0)
      default:  // unsigned, the first element in the lowest bits
        let byte = Int32(bytes.load(UInt8.self, at: index / perByte) ?? 0)
        return byte >> Int32(index % perByte * bits) & (1 << Int32(bits) - 1)
      }
    }
  }

  // MARK: Sparse

  private func assembled(_ parts: some SparseParts, _ limits: Limits) throws(CheckpointError) -> Tensor {
    var assembly = try DenseAssembly(self, limits)
    try parts.forEachPiece(limits) { (source, from, to, count) throws(CheckpointError) in
      try assembly.add(source, from: from, to: to, count: count)
    }
    return try assembly.tensor()
  }

  fileprivate func checkExpansion(
    _ size: (partialValue: Int, overflow: Bool), _ limits: Limits
  ) throws(CheckpointError) {
    guard !size.overflow, size.partialValue <= limits.expandedBytes else {
      throw CheckpointError(
        .limitExceeded,
        "is \(dtype) \(shape), more than \(limits.expandedBytes) bytes when dense; raise Limits.expandedBytes if you want it."
      )
    }
  }
}

extension StateDict {
  /// The same tensors, with quantized and sparse ones as ordinary ones.
  ///
  /// - Throws: as ``Tensor/dense(limits:)``, with the tensor's name.
  public func dense(limits: Limits = Limits()) throws(CheckpointError) -> StateDict {
    var result = self
    for (name, tensor) in self where tensor.layout != .strided || tensor.quantization != nil {
      do throws(CheckpointError) {
        try result.update(name, tensor.dense(limits: limits))
      } catch {
        throw error.forTensor(name)
      }
    }
    return result
  }
}

/// A dense tensor that is filled piece by piece; what lands twice in a place is added.
private struct DenseAssembly {
  private let dtype: DType
  private let shape: [Int]
  private var bytes: [UInt8]
  /// Whether an element has a value yet.
  private var isSet: [Bool]

  init(_ tensor: Tensor, _ limits: Limits) throws(CheckpointError) {
    let size = tensor.elementCount.multipliedReportingOverflow(by: tensor.dtype.size)
    try tensor.checkExpansion(size, limits)
    dtype = tensor.dtype
    shape = tensor.shape
    bytes = [UInt8](repeating: 0, count: size.partialValue)
    isSet = [Bool](repeating: false, count: tensor.elementCount)
  }

  mutating func add(_ source: Bytes, from: Int, to: Int, count: Int) throws(CheckpointError) {
    guard let piece = source.slice(from, count), to >= 0, to <= bytes.count - count else {
      throw CheckpointError(.malformed, "has parts that don't belong together. Get the file again.")
    }
    let size = dtype.size
    for offset in stride(from: 0, to: count, by: size) {
      let place = to + offset
      if isSet[place / size] {
        try accumulate(piece, from: offset, to: place)
      } else {
        for byte in 0..<size { bytes[place + byte] = piece.load(UInt8.self, at: offset + byte) ?? 0 }
        isSet[place / size] = true
      }
    }
  }

  /// Adds one element to the one that is there already.
  private mutating func accumulate(_ piece: Bytes, from: Int, to: Int) throws(CheckpointError) {
    func bits<T: FixedWidthInteger>(_ type: T.Type) -> (old: T, new: T) {
      var old: T = 0
      for byte in (0..<MemoryLayout<T>.size).reversed() {
        old = old << 8 | T(truncatingIfNeeded: bytes[to + byte])
      }
      return (old, piece.load(type, at: from) ?? 0)
    }
    func set<T: FixedWidthInteger>(_ value: T) {
      for byte in 0..<MemoryLayout<T>.size {
        bytes[to + byte] = UInt8(truncatingIfNeeded: value >> T(8 * byte))
      }
    }
    switch dtype {
    case .float32:
      let (old, new) = bits(UInt32.self)
      set((Float(bitPattern: old) + Float(bitPattern: new)).bitPattern)
    case .float64:
      let (old, new) = bits(UInt64.self)
      set((Double(bitPattern: old) + Double(bitPattern: new)).bitPattern)
    case .int64, .uint64:
      let (old, new) = bits(UInt64.self)
      set(old &+ new)
    case .int32, .uint32:
      let (old, new) = bits(UInt32.self)
      set(old &+ new)
    case .int16, .uint16:
      let (old, new) = bits(UInt16.self)
      set(old &+ new)
    case .int8, .uint8:
      let (old, new) = bits(UInt8.self)
      set(old &+ new)
    case .bool:
      let (old, new) = bits(UInt8.self)
      set(old | new)
    default:
      throw CheckpointError(
        .unsupported,
        "is a sparse \(dtype) tensor with several values in one place. Save it after coalesce().")
    }
  }

  func tensor() throws(CheckpointError) -> Tensor {
    try Tensor(dtype: dtype, shape: shape, storage: Storage(Bytes(bytes)))
  }
}
