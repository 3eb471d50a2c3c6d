// What is said of tensors and rules that can't be, word for word.

import Checkpoints
import TestSupport
import Testing

@Suite struct ErrorTextTests {
  typealias Action = @Sendable () throws -> Any

  /// A storage of so many zeros.
  private static func zeros(_ count: Int) -> Storage { Storage(Bytes([UInt8](repeating: 0, count: count))) }

  private static func view(
    _ shape: [Int], _ strides: [Int], _ offset: Int = 0, of dtype: DType = .float32
  ) throws -> Tensor {
    try Tensor(dtype: dtype, shape: shape, strides: strides, storageOffset: offset, storage: zeros(24))
  }

  private static func integers(_ shape: [Int], _ values: [Int64]) throws -> Tensor {
    let bytes = values.flatMap { value in (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
    return try Tensor(dtype: .int64, shape: shape, storage: Storage(Bytes(bytes)))
  }

  private static func made(
    _ layout: Layout, _ shape: [Int], _ parts: [StateDict.Element] = [], of dtype: DType = .float32
  ) throws -> Tensor {
    try Tensor(dtype: dtype, shape: shape, layout: layout, components: parts)
  }

  private static let views: [(Action, text: String)] = [
    ({ try view([2], [1, 1]) }, "its shape [2] and its strides [1, 1] differ in length."),
    (
      { try view([Int](repeating: 1, count: 65), [Int](repeating: 1, count: 65)) },
      "has 65 dimensions; at most 64 are read."
    ),
    (
      { try view([2], [-1], 1) },
      "has a negative size, stride or offset (shape [2], strides [-1], offset 1)."
    ),
    (
      { try view([1 << 40, 1 << 40], [0, 0]) },
      "has shape [1099511627776, 1099511627776], which is more than can be addressed."
    ),
    (
      { try view([2, 3], [3, 2]) },
      "needs elements outside its storage: float32 [2, 3] with strides [3, 2] from element 0 "
        + "does not fit into 24 bytes."
    ),
    (
      { try view([2], [2], of: .quint4x2) },
      "is a view of quint4x2, whose elements share bytes. Save a copy of it."
    ),
    ({ try made(.meta, [-1]) }, "has a negative size (shape [-1])."),
    (
      { try made(.meta, [Int](repeating: 1, count: 65)) },
      "has shape \([Int](repeating: 1, count: 65)), which is more than can be addressed."
    ),
    (
      { try view([1 << 42], [0]).contiguousBytes() },
      "is a view of 24 bytes that would take 17592186044416 bytes as a copy; "
        + "raise Limits.expandedBytes if you want it."
    ),
  ]

  @Test(arguments: views) func viewsThatCannotBe(_ action: Action, _ text: String) {
    #expect(errorText(action) == text)
  }

  private static let conversions: [(Action, text: String)] = [
    ({ try view([3], [1], of: .complex64).floats() }, "is complex64, which has no conversion to Float."),
    (
      { try view([3], [1], of: .complex64).floats(ofElements: 0..<2) },
      "is complex64, which has no conversion to Float."
    ),
    (
      { try view([3], [1], of: .complex64).converted(to: .float16) },
      "is saved as complex64 to be read as float16, which rsw does not convert."
    ),
    (
      { try view([1 << 42], [0]).converted(to: .float16) },
      "is an expanded view that has to be converted as a whole."
    ),
    (
      { try made(.sparseCSR, [2, 2]).contiguousBytes() },
      "is a sparse_csr tensor. Make it dense first (convert --dense)."
    ),
    (
      { try made(.nested, [2, 2]).contiguousBytes() },
      "is a nested tensor, whose parts have different shapes. Take its parts one by one."
    ),
    (
      { try made(.meta, [2]).contiguousBytes() },
      "was saved from the meta device: the file holds its shape, but no elements. Save real weights."
    ),
    ({ try view([2], [1]).nestedParts() }, "is no nested tensor, so it has no parts."),
    ({ try made(.sparseCOO, [2]).dense() }, "lacks its indices. Get the file again."),
    (
      {
        try made(.sparseCOO, [2], [("indices", view([1, 1], [1, 1])), ("values", view([1], [1]))]).dense()
      }, "has float32 where int64 or int32 is due. Get the file again."
    ),
    (
      {
        try made(.sparseCOO, [2], [("indices", integers([1, 1], [5])), ("values", view([1], [1]))]).dense()
      }, "has a value at index 5 of a dimension of 2. Get the file again."
    ),
    (
      {
        try made(.sparseCOO, [2], [("indices", integers([1, 1], [0])), ("values", view([2], [1]))]).dense()
      }, "is sparse_coo [2], but its parts are indices [1, 1], values [2]. Get the file again."
    ),
    (
      {
        try made(
          .sparseCOO, [2],
          [("indices", integers([1, 2], [0, 0])), ("values", view([2], [1], of: .float16))],
          of: .float16
        ).dense()
      }, "is a sparse float16 tensor with several values in one place. Save it after coalesce()."
    ),
    (
      {
        try made(
          .sparseCOO, [2], [("indices", integers([1, 2], [0, 1])), ("values", view([2], [1], of: .uint8))]
        ).dense()
      }, "has parts that don't belong together. Get the file again."
    ),
    (
      {
        try made(
          .sparseCSR, [1, 2],
          [
            ("crow_indices", integers([2], [1, 0])), ("col_indices", integers([1], [0])),
            ("values", view([1], [1])),
          ]
        ).dense()
      }, "has crow_indices that do not increase. Get the file again."
    ),
    (
      { try made(.sparseCOO, [1 << 20, 1 << 20], parts(.float32)).dense() },
      "is float32 [1048576, 1048576], more than 1073741824 bytes when dense; "
        + "raise Limits.expandedBytes if you want it."
    ),
    (
      {
        try made(.jagged, [2], [("values", view([3], [1])), ("offsets", integers([2], [0, 5]))]).nestedParts()
      },
      "has offsets that do not increase. Get the file again."
    ),
    (
      { try nested(offset: .max).nestedParts() }, "has an offset out of range."
    ),
    (
      { try Tensor(view([2], [1]), quantization: .perTensor(scale: 1, zeroPoint: 0)) },
      "is float32, which can't be quantized. Get the file again."
    ),
    (
      {
        try Tensor(
          view([2, 3], [3, 1], of: .qint8),
          quantization: .perChannel(scales: [1], zeroPoints: [0], axis: 1, precision: .float32))
      },
      "is quantized with 1 scales and 1 zero points along axis 1, which its shape [2, 3] does not have. "
        + "Get the file again."
    ),
  ]

  /// The parts of a sparse tensor with one value in two dimensions.
  private static func parts(_ dtype: DType) throws -> [StateDict.Element] {
    [("indices", try integers([2, 1], [0, 0])), ("values", try view([1], [1], of: dtype))]
  }

  /// A nested tensor of one row, which begins at `offset` in a view that begins at 1.
  private static func nested(offset: Int64) throws -> Tensor {
    try made(
      .nested, [1, 1],
      [
        ("buffer", view([1], [1], 1)), ("sizes", integers([1, 1], [1])), ("strides", integers([1, 1], [1])),
        ("storage_offsets", integers([1], [offset])),
      ])
  }

  @Test(arguments: conversions) func conversionsThatThereAreNot(_ action: Action, _ text: String) {
    #expect(errorText(action) == text)
  }

  private static let rules: [(Action, text: String)] = [
    (
      { try KeyMap.Rule(String(repeating: "a", count: 1001)) },
      "\"\(String(repeating: "a", count: 200))…\" is too long for a rule: 1001 bytes of 1000."
    ),
    ({ try KeyMap.Rule("a") }, "\"a\" is no rule: write OLD = NEW."),
    ({ try KeyMap.Rule("a = b : hw") }, "\"hw\" is no order of axes; there are hwio, ohwi, io, oi11."),
    (
      { try KeyMap.Rule("a.{s} = b") },
      "\"a.{s} = b\" has placeholders on one side that the other side lacks."
    ),
    (
      { try KeyMap.Rule(" = b") },
      "\"\" is no pattern: {*} stands at the end only, and something must be there."
    ),
    (
      { try KeyMap.Rule("[a][b][c][d][e][f][g] = b") },
      "\"[a][b][c][d][e][f][g]\" has more than 64 parts, or than 6 optional ones."
    ),
    (
      { try KeyMap(parsing: String(repeating: "#", count: 1 << 20) + "#") },
      "the rules take 1048577 bytes; at most 1048576 are read."
    ),
    (
      { try StateDict(arrays: ["a": [1]]).renamed(by: KeyMap(parsing: "a = b : hwio")) },
      "tensor \"a\": has shape [1], which does not go with the axes hwio."
    ),
    (
      { try made(.sparseCSR, [2, 2]).toPyTorch(from: .io) },
      "is sparse_csr, and its axes can't be put in another order. Use --dense."
    ),
  ]

  @Test(arguments: rules) func rulesThatAreNone(_ action: Action, _ text: String) {
    #expect(errorText(action) == text)
  }

  private typealias Bound = WritableKeyPath<Limits, Int> & Sendable

  private static let bounds: [(Bound, most: Int, file: String, text: String)] = [
    (\.archiveEntries, 3, "zip-stored.pth", "declares 9 archive entries; at most 3 are read."),
    (\.pickleBytes, 20, "pickled-nested.pkl", "byte 21: is a pickle of more than 20 bytes."),
    (\.pickleOpcodes, 5, "pickled-nested.pkl", "byte 14: is a pickle of more than 5 opcodes."),
    (
      \.inflationRatio, 0, "zip-deflated.pth",
      "record \"archive/byteorder\": declares 6 bytes, more than its 8 compressed bytes can hold."
    ),
    (
      \.headerBytes, 10, "safetensors.safetensors",
      "declares a header of 304 bytes; at most 10 are read."
    ),
    (
      \.jsonNesting, 1, "safetensors.safetensors",
      "tensor \"steps\": its JSON is nested more than 1 levels deep."
    ),
    (\.pathNesting, 1, "module-nested.pth", "has modules nested more than 1 levels deep."),
    (\.pathNesting, 1, "nested-ema.pth", "holds a tensor more than 1 levels deep."),
    (
      \.inflatedHeaderBase, 1, "npz-large-headers.npz",
      "record \"weight.npy\": has a .npy header of 8128 bytes in 115 compressed ones, which no real one is. "
        + "Write it again with numpy.savez."
    ),
    (\.tarEntries, 1, "tar-order.pth", "is a tar archive of more than 1 entries."),
    (
      \.shards, 1, "sharded-safetensors/model.safetensors.index.json",
      "names 2 files; at most 1 are read."
    ),
  ]

  @Test(arguments: bounds) func boundsOfWhatIsRead(
    _ bound: WritableKeyPath<Limits, Int> & Sendable, _ most: Int, _ file: String, _ text: String
  ) {
    var limits = Limits()
    limits[keyPath: bound] = most
    let path = Fixtures.path("reading/\(file)")
    #expect(
      errorText {
        let checkpoint = try Checkpoint(path: path, limits: limits)
        for tensor in try checkpoint.stateDict() { _ = try tensor.tensor.contiguousBytes() }
        return try checkpoint.allTensors()
      } == "\(path): \(text)")
  }

  private static let files: [(OutputFormat, name: String, metadata: [String], shape: [Int], text: String)] = [
    (
      .safetensors, "__metadata__", [], [1],
      "tensor \"__metadata__\": has the one name that safetensors and so rsw keeps for itself. Rename it."
    ),
    (
      .safetensors, "a", ["format", "format"], [1],
      "would have metadata with two values of one name: leave out one."
    ),
    (
      .safetensors, "a", [], [1 << 60],
      "tensor \"a\": takes 4611686018427387904 bytes as a copy, which no disk holds. Save it unexpanded."
    ),
    (
      .npz, String(repeating: "a", count: 70_000), [], [1],
      "tensor \"\(String(repeating: "a", count: 200))…\": "
        + "has a name of 70004 bytes; zip archives hold 65535."
    ),
  ]

  @Test(arguments: files) func filesThatCannotBeWritten(
    _ format: OutputFormat, _ name: String, _ metadata: [String], _ shape: [Int], _ text: String
  ) throws {
    let folder = try TemporaryFolder()
    var options = WriteOptions()
    options.metadata = metadata.map { ($0, "") }
    var stateDict = StateDict()
    try stateDict.append(name, Self.view(shape, [0]))
    #expect(errorText { try stateDict.write(to: folder.path("a"), as: format, options: options) } == text)
    #expect(folder.contents.isEmpty)
  }

  @Test func endingsThatNoFormatHas() throws {
    let stateDict = try StateDict(arrays: ["a": [1]])
    let folder = try TemporaryFolder()
    for name in ["a.h5", "a.onnx", "a.safetensor"] {
      #expect(
        errorText { try stateDict.write(to: folder.path(name)) }
          == "\(folder.path(name)): no format of weights has names with such an ending: .rsw, .safetensors, .pth, .pt, .bin, "
          + ".npz have, and names without one.")
    }
    #expect(try stateDict.write(to: folder.path("a")) == [folder.path("a")])
    #expect(folder.contents == ["a"])
  }

  @Test func valuesThatNoShapeTakes() {
    #expect(
      errorText { try Tensor(shape: [2, 2], [1, 2, 3, 4, 5]) } == "there are 5 values for the shape [2, 2].")
  }

  @Test func formatsThatAreOneFile() throws {
    var options = WriteOptions()
    options.shardBytes = 1
    let stateDict = try StateDict(arrays: ["a": [1]])
    let folder = try TemporaryFolder()
    #expect(
      errorText { try stateDict.write(to: folder.path("a"), as: .npz, options: options) }
        == "is npz, which is one file: only safetensors and torch are sharded.")
  }
}
