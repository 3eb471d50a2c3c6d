// How a safetensors file is written; Safetensors/SafetensorsReader.swift says how it lies.

/// Where each tensor of a safetensors file goes.
struct SafetensorsLayout: FileLayout {
  private static let alignment = RSWMetadata.alignment
  let pieces: [FilePiece]
  private let stateDict: StateDict
  /// From the end of the header, by the tensors' positions in the state dict.
  private let offsets: [Int]
  private let metadata: @Sendable (_ checksums: [UInt32]) -> [(name: String, value: String)]

  /// - Parameter metadata: the file's metadata for the tensors' checksums, in the state dict's order; as long for any.
  init(
    _ stateDict: StateDict, metadata: @escaping @Sendable ([UInt32]) -> [(name: String, value: String)]
  ) throws(CheckpointError) {
    var offsets = [Int](repeating: 0, count: stateDict.count)
    var places = FilePlaces()
    // Sizes that are multiples of 64 first: each of them then begins on such a boundary.
    for aligned in [true, false] {
      for (index, (name, tensor)) in stateDict.enumerated()
      where tensor.byteCount.isMultiple(of: SafetensorsLayout.alignment) == aligned {
        try SafetensorsLayout.check(name)
        offsets[index] = try places.take(tensor.byteCount, for: name)
      }
    }
    let names = metadata([UInt32](repeating: 0, count: stateDict.count)).map { CodeUnitKey($0.name) }
    guard Set(names).count == names.count else {
      throw CheckpointError(
        .notRepresentable, "would have metadata with two values of one name: leave out one.")
    }
    self.stateDict = stateDict
    self.offsets = offsets
    self.metadata = metadata
    let header = SafetensorsLayout.header(
      stateDict, offsets, metadata([UInt32](repeating: 0, count: stateDict.count)))
    pieces = zip(offsets, stateDict).map { offset, element in
      FilePiece(
        name: element.name, offset: header.count + offset, byteCount: element.tensor.byteCount,
        content: .tensor(element.tensor))
    }
  }

  private static func check(_ name: String) throws(CheckpointError) {
    guard name != "__metadata__" else {
      throw CheckpointError(
        .notRepresentable, "has the one name that safetensors and so rsw keeps for itself. Rename it.",
        key: name)
    }
  }

  func framing(_ checksums: [UInt32]) -> [FileFraming] {
    [(0, SafetensorsLayout.header(stateDict, offsets, metadata(checksums)))]
  }

  /// Pairs of elements of 4 bits are counted as two, as SafetensorsReader has it.
  private static func shape(of tensor: Tensor) -> [Int] {
    guard tensor.dtype == .float4_e2m1fn_x2, let last = tensor.shape.last else { return tensor.shape }
    return tensor.shape.dropLast() + [2 * last]
  }

  /// The size and the JSON of the header, padded so that the data begins on a boundary.
  private static func header(
    _ stateDict: StateDict, _ offsets: [Int], _ metadata: [(name: String, value: String)]
  ) -> Bytes {
    var members: [(name: String, value: JSON)] = []
    if !metadata.isEmpty {
      members.append(("__metadata__", .object(metadata.map { ($0.name, .string($0.value)) })))
    }
    for (offset, (name, tensor)) in zip(offsets, stateDict) {
      members.append(
        (
          name,
          .object([
            ("dtype", .string(tensor.dtype.safetensorsName ?? "")), ("shape", .ints(shape(of: tensor))),
            ("data_offsets", .ints([offset, offset + tensor.byteCount])),
          ])
        ))
    }
    var json = Array(JSON.object(members).text().utf8)
    let prefix = MemoryLayout<UInt64>.size
    let excess = (prefix + json.count) % alignment
    if excess > 0 { json += [UInt8](repeating: 0x20, count: alignment - excess) }
    let size = (0..<prefix).map { UInt8(truncatingIfNeeded: json.count >> (8 * $0)) }
    return Bytes(size + json)
  }
}
