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
    var metadata: [(name: String, value: String)] = []
    var ranges: [Range<Int>] = []
    let usualEntry = 64
    stateDict.reserveCapacity(header.count / usualEntry)
    ranges.reserveCapacity(header.count / usualEntry)
    // One tensor at a time, so that the first one that is wrong ends it. No array in a header is longer
    // than a shape.
    try JSON.forEachMember(of: header, limits: limits, longestArray: limits.tensorDimensions) {
      (name, value) throws(CheckpointError) in
      if name == "__metadata__" {
        metadata = try SafetensorsFile.metadata(value)
        return
      }
      do throws(CheckpointError) {
        let (tensor, range) = try SafetensorsFile.tensor(value, data)
        ranges.append(range)
        try stateDict.append(name, tensor)
      } catch {
        throw error.forTensor(name)
      }
    }
    try SafetensorsFile.checkCoverage(ranges, size: data.count)
    self.stateDict = stateDict
    self.metadata = metadata
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

  private static func tensor(_ value: JSON, _ data: Bytes) throws(CheckpointError) -> (Tensor, Range<Int>) {
    guard let typeName = value["dtype"]?.string, let sizes = value["shape"]?.array,
      let offsets = value["data_offsets"]?.array, offsets.count == 2, let start = offsets[0].int,
      let end = offsets[1].int
    else { throw CheckpointError(.malformed, "lacks dtype, shape or data_offsets. Get the file again.") }
    guard let dtype = DType(safetensorsName: typeName) else {
      throw CheckpointError(.unsupported, "is of the unknown dtype \(quoted(typeName)).")
    }
    var shape = sizes.compactMap(\.int)
    // The format counts elements of 4 bits, torch pairs of them.
    if dtype == .float4_e2m1fn_x2 {
      guard let last = shape.popLast(), last.isMultiple(of: 2) else {
        throw CheckpointError(
          .malformed,
          "is F4 of shape \(sizes.compactMap(\.int)), whose last dimension is not even. Get the file again.")
      }
      shape.append(last / 2)
    }
    guard shape.count == sizes.count, shape.allSatisfy({ $0 >= 0 }), start >= 0, start <= end,
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
