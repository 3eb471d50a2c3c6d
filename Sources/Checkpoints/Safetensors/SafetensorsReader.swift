// A safetensors file:
//
//   8 bytes        the header's size N, little-endian
//   N bytes        JSON: {"__metadata__": {string: string}, name: {"dtype", "shape", "data_offsets"}…},
//                  padded with spaces
//   the rest       the tensors' bytes, row-major, without holes; offsets count from here
//
// https://github.com/huggingface/safetensors#format

struct SafetensorsFile {
  let stateDict: StateDict
  let metadata: [(name: String, value: String)]

  /// Whether `file` begins as a safetensors file does.
  static func recognizes(_ file: Bytes) -> Bool {
    guard let size = file.load(UInt64.self, at: 0), let first = file.load(UInt8.self, at: 8) else {
      return false
    }
    return first == UInt8(ascii: "{") && size >= 2 && size <= UInt64(Int32.max)
  }

  init(_ file: Bytes, limits: Limits) throws(CheckpointError) {
    var reader = ByteReader(file)
    let size = try reader.read(UInt64.self)
    guard size <= UInt64(limits.headerBytes) else {
      throw CheckpointError(
        .limitExceeded, "declares a header of \(size) bytes; at most \(limits.headerBytes) are read.")
    }
    let header = try reader.readBytes(Int(size))
    let data = try reader.readBytes(reader.remaining)

    // One tensor at a time, so that the first one that is wrong ends it. No array in a header is longer
    // than a shape.
    var entries = HeaderEntries(byteCount: header.count)
    var metadata: [(name: String, value: String)]?
    var parser = try JSONParser(header, limits: limits, longestArray: limits.tensorDimensions)
    try parser.members(areKept: true) { (parser: inout JSONParser, name) throws(CheckpointError) in
      if name == "__metadata__" {
        guard metadata == nil else {
          throw CheckpointError(.malformed, "its JSON has \"__metadata__\" twice. Get the file again.")
        }
        metadata = try SafetensorsFile.metadata(parser.value())
        return
      }
      do throws(CheckpointError) {
        try entries.read(name, &parser, dataSize: data.count)
      } catch {
        throw error.forTensor(name)
      }
    }
    try parser.end()
    try entries.checkCoverage(of: data.count)
    self.stateDict = try entries.stateDict(data)
    self.metadata = metadata ?? []
  }

  private static func metadata(_ value: JSON) throws(CheckpointError) -> [(name: String, value: String)] {
    if case .null = value { return [] }
    var result: [(name: String, value: String)] = []
    for (name, value) in value.object ?? [(name: "", value: .null)] {
      guard let text = value.string else {
        throw CheckpointError(.malformed, "its metadata must map text to text. Get the file again.")
      }
      result.append((name, text))
    }
    return result
  }
}

/// What a header says of its tensors, checked as it is read. Nothing is made of them before all are right, so that a header
/// of many tensors that is wrong at its end takes little memory and time.
private struct HeaderEntries {
  private var names: [String] = []
  private var positions: [CodeUnitKey: Int] = [:]
  private var entries: [Entry] = []
  /// The dimensions of all shapes, one shape behind the other.
  private var sizes: [Int] = []

  private struct Entry {
    let dtype: DType
    /// Where its shape begins among the sizes; it ends where the next one begins.
    let firstSize: Int
    let start: Int
    let end: Int
  }

  /// For a header of `byteCount` bytes.
  init(byteCount: Int) {
    let usualEntry = 96
    let room = min(byteCount / usualEntry, 1 << 16)
    names.reserveCapacity(room)
    positions.reserveCapacity(room)
    entries.reserveCapacity(room)
  }

  /// Reads what the header says of one tensor.
  mutating func read(_ name: String, _ parser: inout JSONParser, dataSize: Int) throws(CheckpointError) {
    let firstSize = sizes.count
    var (typeName, hasShape): (String?, Bool) = (nil, false)
    var offsets: [Int] = []
    try parser.members { (parser: inout JSONParser, name) throws(CheckpointError) in
      switch name {
      case "dtype": typeName = try parser.stringIfAny()
      case "shape": hasShape = try parser.appendIntsIfAny(to: &sizes)
      case "data_offsets": if try !parser.appendIntsIfAny(to: &offsets) { offsets = [] }
      default: _ = try parser.value()
      }
    }
    guard let typeName, hasShape, offsets.count == 2 else {
      throw CheckpointError(.malformed, "lacks dtype, shape or data_offsets. Get the file again.")
    }
    let (start, end) = (offsets[0], offsets[1])
    guard let dtype = DType(safetensorsName: typeName) else {
      throw CheckpointError(.unsupported, "is of the unknown dtype \(quoted(typeName)).")
    }
    // The format counts elements of 4 bits, torch pairs of them.
    if dtype == .float4_e2m1fn_x2 {
      guard sizes.count > firstSize, let last = sizes.last, last.isMultiple(of: 2) else {
        throw CheckpointError(
          .malformed,
          "is F4 of shape \(sizes[firstSize...]), whose last dimension is not even. Get the file again.")
      }
      sizes[sizes.count - 1] = last / 2
    }
    let shape = Array(sizes[firstSize...])
    guard shape.allSatisfy({ $0 >= 0 }), start >= 0, start <= end else {
      throw CheckpointError(.malformed, "has a shape or offsets that can't be. Get the file again.")
    }
    guard end <= dataSize else {
      throw CheckpointError(
        .truncated,
        "ends at byte \(end) of the data, but the file has \(dataSize) of them: it was cut short. Get the file again."
      )
    }
    let byteCount = dtype.byteCount(ofElements: try Tensor.elementCount(dtype, shape))
    guard byteCount == end - start else {
      throw CheckpointError(
        .malformed,
        "is \(dtype) \(shape), \(byteCount) bytes, but \(end - start) are set apart for it. "
          + "Get the file again.")
    }
    guard positions.updateValue(entries.count, forKey: CodeUnitKey(name)) == nil else {
      throw StateDict.nameIsTaken(name)
    }
    names.append(name)
    entries.append(Entry(dtype: dtype, firstSize: firstSize, start: start, end: end))
  }

  /// The tensors must fill the data, each byte once.
  func checkCoverage(of size: Int) throws(CheckpointError) {
    var end = 0
    for entry in entries.sorted(by: { ($0.start, $0.end) < ($1.start, $1.end) }) {
      guard entry.start == end else {
        throw CheckpointError(
          .malformed, "its tensors overlap or leave holes. Get the file again.", offset: entry.start)
      }
      end = entry.end
    }
    guard end == size else {
      throw CheckpointError(
        .malformed, "its tensors take \(end) bytes of data, but it holds \(size). Get the file again.")
    }
  }

  /// The tensors, whose bytes lie in `data`.
  func stateDict(_ data: Bytes) throws(CheckpointError) -> StateDict {
    var tensors: [Tensor] = []
    tensors.reserveCapacity(entries.count)
    for (index, entry) in entries.enumerated() {
      let endOfSizes = index + 1 < entries.count ? entries[index + 1].firstSize : sizes.count
      guard let bytes = data.slice(entry.start, entry.end - entry.start) else { continue }  // checked above
      tensors.append(
        try Tensor(
          dtype: entry.dtype, shape: Array(sizes[entry.firstSize..<endOfSizes]), storage: Storage(bytes)))
    }
    return StateDict(names: names, tensors: tensors, positions: positions)
  }
}
