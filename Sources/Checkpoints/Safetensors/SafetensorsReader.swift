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

    var stateDict = StateDict()
    var metadata: [(name: String, value: String)]?
    var ranges: [Range<Int>] = []
    let usualEntry = 64
    stateDict.reserveCapacity(header.count / usualEntry)
    ranges.reserveCapacity(header.count / usualEntry)
    // One tensor at a time, so that the first one that is wrong ends it. No array in a header is longer
    // than a shape.
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
        let (tensor, range) = try SafetensorsFile.tensor(Entry(&parser), data)
        ranges.append(range)
        try stateDict.append(name, tensor)
      } catch {
        throw error.forTensor(name)
      }
    }
    try parser.end()
    try SafetensorsFile.checkCoverage(ranges, size: data.count)
    self.stateDict = stateDict
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

  /// What the header says of a tensor; nil where it says nothing or nonsense.
  private struct Entry {
    private(set) var dtype: String?
    private(set) var shape: [Int]?
    private(set) var offsets: [Int]?

    init(_ parser: inout JSONParser) throws(CheckpointError) {
      var (dtype, shape, offsets): (String?, [Int]?, [Int]?)
      try parser.members { (parser: inout JSONParser, name) throws(CheckpointError) in
        switch name {
        case "dtype": dtype = try parser.stringIfAny()
        case "shape": shape = try parser.intsIfAny()
        case "data_offsets": offsets = try parser.intsIfAny()
        default: _ = try parser.value()
        }
      }
      (self.dtype, self.shape, self.offsets) = (dtype, shape, offsets)
    }
  }

  private static func tensor(_ entry: Entry, _ data: Bytes) throws(CheckpointError) -> (Tensor, Range<Int>) {
    guard let typeName = entry.dtype, var shape = entry.shape, let offsets = entry.offsets, offsets.count == 2
    else { throw CheckpointError(.malformed, "lacks dtype, shape or data_offsets. Get the file again.") }
    let (start, end) = (offsets[0], offsets[1])
    guard let dtype = DType(safetensorsName: typeName) else {
      throw CheckpointError(.unsupported, "is of the unknown dtype \(quoted(typeName)).")
    }
    // The format counts elements of 4 bits, torch pairs of them.
    if dtype == .float4_e2m1fn_x2 {
      guard let last = shape.popLast(), last.isMultiple(of: 2) else {
        throw CheckpointError(
          .malformed,
          "is F4 of shape \(entry.shape ?? []), whose last dimension is not even. Get the file again.")
      }
      shape.append(last / 2)
    }
    guard shape.allSatisfy({ $0 >= 0 }), start >= 0, start <= end,
      let bytes = data.slice(start, end - start)
    else { throw CheckpointError(.malformed, "has a shape or offsets that can't be. Get the file again.") }
    let storage = Storage(.bytes(bytes), byteCount: bytes.count)
    let tensor = try Tensor(dtype: dtype, shape: shape, storage: storage)
    guard tensor.byteCount == bytes.count else {
      throw CheckpointError(
        .malformed,
        "is \(dtype) \(shape), \(tensor.byteCount) bytes, but \(bytes.count) are set apart for it. Get the file again."
      )
    }
    return (tensor, start..<end)
  }

  /// The tensors must fill the data, each byte once.
  private static func checkCoverage(_ ranges: [Range<Int>], size: Int) throws(CheckpointError) {
    var end = 0
    for range in ranges.sorted(by: { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }) {
      guard range.lowerBound == end else {
        throw CheckpointError(
          .malformed, "its tensors overlap or leave holes. Get the file again.", offset: range.lowerBound)
      }
      end = range.upperBound
    }
    guard end == size else {
      throw CheckpointError(
        end > size ? .truncated : .malformed,
        "its tensors need \(end) bytes, but it holds \(size). Get the file again.")
    }
  }
}
