// Files that are written in more than one block, and in more than one file.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct LargeWritingTests {
  private func random(_ count: Int, seed: UInt32) -> [Float] {
    var state = seed
    return (0..<count).map { _ in
      state = state &* 1_664_525 &+ 1_013_904_223
      return Float(state >> 8) / 0x1p24
    }
  }

  /// Tensors whose elements lie across the borders of blocks, behind one whose size is odd.
  private func large() throws -> StateDict {
    var stateDict = StateDict()
    try stateDict.append(
      "odd", Tensor(dtype: .uint8, shape: [1021], storage: Storage(Bytes([UInt8](repeating: 7, count: 1021))))
    )
    try stateDict.append("a", Tensor(shape: [3, 100_003], random(300_009, seed: 1)))
    try stateDict.append("empty", Tensor(shape: [0, 5], []))
    let matrix = try Tensor(shape: [501, 999], random(501 * 999, seed: 2))
    try stateDict.append(
      "transposed",
      Tensor(dtype: .float32, shape: [999, 501], strides: [1, 999], storage: matrix.storage))
    try stateDict.append("matrix", matrix)
    return stateDict
  }

  private func expectSame(_ read: StateDict, _ stateDict: StateDict) throws {
    #expect(read.names == stateDict.names)
    for (name, tensor) in stateDict {
      #expect(read[name]?.dtype == tensor.dtype && read[name]?.shape == tensor.shape, "\(name)")
      #expect(try read[name]?.contiguousBytes() == tensor.contiguousBytes(), "\(name)")
    }
  }

  @Test(arguments: ["rsw", "safetensors", "pth", "npz"]) func blocksAreFoundAgain(_ format: String) throws {
    let folder = try TemporaryFolder()
    let path = folder.path("out.\(format)")
    #expect(try large().write(to: path) == [path])
    let checkpoint = try Checkpoint(path: path)
    try checkpoint.verifyChecksums()
    try expectSame(checkpoint.stateDict(), large())
  }

  @Test(arguments: ["safetensors", "bin"]) func shardsAreOneStateDict(_ format: String) throws {
    let folder = try TemporaryFolder()
    var options = WriteOptions()
    options.shardBytes = 1_500_000
    let files = try large().write(to: folder.path("model.\(format)"), options: options)
    #expect(folder.contents.sorted() == files.map { String($0.split(separator: "/").last ?? "") }.sorted())
    #expect(files.last == folder.path("model.\(format).index.json"))
    let checkpoint = try Checkpoint(path: files.last ?? "")
    #expect(checkpoint.container == .shardedIndex)
    try expectSame(checkpoint.stateDict(), large())
    // Two views of one storage share it in PyTorch's format, and so lie in one file.
    #expect(files.count == (format == "bin" ? 3 : 4))
    for file in files.dropLast() {
      let part = try Checkpoint(path: file).stateDict()
      #expect(part.count == 1 || part.byteCount <= 1_500_000 || !part.ties.isEmpty, "\(file)")
    }
  }

  @Test func whatFitsIsOneFile() throws {
    let folder = try TemporaryFolder()
    var options = WriteOptions()
    options.shardBytes = 100_000_000
    try large().write(to: folder.path("out.safetensors"), options: options)
    #expect(folder.contents == ["out.safetensors"])
  }

  @Test(arguments: ["rsw", "npz"]) func otherFormatsAreNotSharded(_ format: String) throws {
    let folder = try TemporaryFolder()
    var options = WriteOptions()
    options.shardBytes = 1000
    let error = #expect(throws: CheckpointError.self) {
      try large().write(to: folder.path("out.\(format)"), options: options)
    }
    #expect(error?.code == .notRepresentable)
    #expect(folder.contents.isEmpty)
  }

  /// The last file is refused, so none appears.
  @Test func shardsAppearTogether() throws {
    let folder = try TemporaryFolder()
    try Data("old".utf8).write(to: URL(filePath: folder.path("out.safetensors.index.json")))
    var options = WriteOptions()
    options.shardBytes = 1_000_000
    let error = #expect(throws: CheckpointError.self) {
      try large().write(to: folder.path("out.safetensors"), options: options)
    }
    #expect(error?.code == .cannotWrite)
    #expect(folder.contents == ["out.safetensors.index.json"])
  }

  /// Files of the old set that the new one has not would be taken for its own by whoever opens all of a folder.
  @Test func aSmallerSetLeavesNothingOfALargerOne() throws {
    let folder = try TemporaryFolder()
    var options = WriteOptions()
    func write(_ bytes: Int) throws {
      options.shardBytes = bytes
      try large().write(to: folder.path("out.safetensors"), options: options)
    }
    try write(1_500_000)
    #expect(folder.contents.count > 3)
    _ = try folder.write([1], as: "out-00009-of-00009.safetensors")  // which no index names
    _ = try folder.write([1], as: "out-of-00009.safetensors")
    options.replacing = true
    try write(3_500_000)
    let index = try Checkpoint(path: folder.path("out.safetensors.index.json"))
    #expect(try index.stateDict().count == large().count)
    let shards = folder.contents.filter { $0.hasPrefix("out-0000") }
    let counts = Set(shards.map { $0.dropFirst("out-00001".count) })
    #expect(counts.count == 2 && shards.contains("out-00009-of-00009.safetensors"), "\(shards)")
    try write(1 << 40)
    #expect(
      folder.contents == ["out-00009-of-00009.safetensors", "out-of-00009.safetensors", "out.safetensors"])
  }

  @Test func convolutionsAreWrittenChannelsLast() throws {
    let values = (0..<2 * 3 * 4 * 5).map(Float.init)
    var stateDict = StateDict()
    try stateDict.append("conv.weight", Tensor(shape: [2, 3, 4, 5], values))
    try stateDict.append("fc.weight", Tensor(shape: [2, 3], Array(values[..<6])))
    let folder = try TemporaryFolder()
    try stateDict.withChannelsLast().write(to: folder.path("out.safetensors"))
    let read = try Checkpoint(path: folder.path("out.safetensors")).stateDict()
    #expect(read["conv.weight"]?.shape == [2, 4, 5, 3])
    #expect(read["fc.weight"]?.shape == [2, 3])
    let floats = try #require(read["conv.weight"]).floats()
    for o in 0..<2 {
      for i in 0..<3 {
        for y in 0..<4 {
          for x in 0..<5 {
            #expect(floats[((o * 4 + y) * 5 + x) * 3 + i] == values[((o * 3 + i) * 4 + y) * 5 + x])
          }
        }
      }
    }
  }

  @Test func arraysGoToAFileAndBack() throws {
    let folder = try TemporaryFolder()
    let arrays: [String: [Float]] = ["mean": [0.485, 0.456, 0.406], "empty": [], "é": [1]]
    try StateDict(arrays: arrays).write(to: folder.path("a.npz"), as: .npz)
    #expect(try Checkpoint(path: folder.path("a.npz")).stateDict().arrays() == arrays)
  }

  /// Whatever PyTorch's format holds survives it; other formats say which can hold it.
  @Test(arguments: [
    "quantized-per-tensor", "quantized-per-channel", "quantized-float-zero-points", "quantized-packed",
    "quantized-embedding", "sparse-coo", "sparse-compressed", "sparse-blocks", "sparse-batched",
    "nested-tensor", "meta-tensor",
  ])
  func rarerTensorsSurviveInTorchsFormat(_ name: String) throws {
    let stateDict = try Checkpoint(path: Fixtures.path("reading/\(name).pth")).stateDict()
    let folder = try TemporaryFolder()
    try stateDict.write(to: folder.path("out.pth"))
    let read = try Checkpoint(path: folder.path("out.pth")).stateDict()
    #expect(read.names == stateDict.names)
    for (name, tensor) in stateDict {
      let found = try #require(read[name])
      #expect(found.dtype == tensor.dtype && found.shape == tensor.shape && found.layout == tensor.layout)
      #expect(found.quantization == tensor.quantization && found.isCoalesced == tensor.isCoalesced)
      #expect(found.components.map(\.name) == tensor.components.map(\.name))
      for (mine, theirs) in zip(tensor.components, found.components) {
        #expect(try mine.tensor.contiguousBytes() == theirs.tensor.contiguousBytes(), "\(name).\(mine.name)")
      }
      if tensor.layout == .strided {
        #expect(try found.contiguousBytes() == tensor.contiguousBytes(), "\(name)")
      }
    }
    let error = #expect(throws: CheckpointError.self) {
      try stateDict.write(to: folder.path("out.safetensors"))
    }
    #expect(error.map { [.notRepresentable, .noElements].contains($0.code) } == true)
    if error?.code == .notRepresentable {
      #expect(error?.message.contains("torch can") == true, "\(error?.message ?? "")")
    }
  }
}
