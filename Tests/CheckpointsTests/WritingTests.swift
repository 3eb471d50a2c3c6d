// What is written in any format is what was read, and PyTorch's format is written as torch.save writes it.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct WritingTests {
  private func write(_ stateDict: StateDict, as format: String, _ folder: TemporaryFolder) throws -> String {
    let path = folder.path("out.\(format)")
    var options = WriteOptions()
    options.metadata = [("format", "pt"), ("note", "é\n\"")]
    try stateDict.write(to: path, options: options)
    return path
  }

  private func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

  /// State dicts of every kind, with views, ties, scalars, empty tensors and all types that formats have in common.
  @Test(
    arguments: [
      "dtypes", "views", "tied-parameters", "zip-stored", "empty-dict", "legacy-views", "nested-ema",
    ],
    ["safetensors", "pth", "npz", "rsw"])
  func formatsHoldWhatTheyAreGiven(_ name: String, _ format: String) throws {
    let fixture = try #require(
      ["pth", "pt"].map { Fixtures.path("reading/\(name).\($0)") }.first {
        FileManager.default.fileExists(atPath: $0)
      })
    let all = try Checkpoint(path: fixture).stateDict()
    // What a format can't hold is refused by name, and left out here.
    var stateDict = StateDict()
    for (name, tensor) in all {
      var single = StateDict()
      try single.append(name, tensor)
      do {
        _ = try write(single, as: format, TemporaryFolder())
        try stateDict.append(name, tensor)
      } catch let error as CheckpointError {
        #expect(error.code == .notRepresentable && error.key == name, "\(error)")
      }
    }
    let folder = try TemporaryFolder()
    if stateDict.isEmpty, format == "npz" {
      #expect(throws: CheckpointError.self) { try write(stateDict, as: format, folder) }
      return
    }
    let path = try write(stateDict, as: format, folder)
    let checkpoint = try Checkpoint(path: path)
    try checkpoint.verifyChecksums()
    let read = try checkpoint.stateDict()
    #expect(read.names == stateDict.names)
    for (name, tensor) in stateDict {
      #expect(read[name]?.dtype == tensor.dtype && read[name]?.shape == tensor.shape, "\(name)")
      #expect(try read[name]?.contiguousBytes() == tensor.contiguousBytes(), "\(name)")
      if format == "pth" { #expect(read[name]?.strides == tensor.strides, "\(name)") }
    }
    if format == "pth" { #expect(read.ties == stateDict.ties) }
    if format == "safetensors", !stateDict.isEmpty {
      #expect(checkpoint.metadata.map(\.value) == ["pt", "é\n\""] && checkpoint.container == .safetensors)
    }
    #expect(folder.contents == ["out.\(format)"])
  }

  /// Only the number that tells files apart may differ from what torch.save wrote, and its checksum.
  @Test func aFileOfTorchIsWrittenAgainByteForByte() throws {
    let original = Fixtures.path("reading/dtypes.pth")
    let stateDict = try Checkpoint(path: original).stateDict()
    let folder = try TemporaryFolder()
    // The archive's folder is called as the file.
    try stateDict.write(to: folder.path("archive.pth"))
    let (theirs, ours) = (try bytes(original), try bytes(folder.path("archive.pth")))
    try #require(theirs.count == ours.count)
    let differing = theirs.indices.filter { theirs[$0] != ours[$0] }
    // Forty digits; the checksum stands behind them and in the directory.
    let first = try #require(differing.first)
    let spots = Set(differing).subtracting(first - 39..<first + 40)
    #expect(spots.count <= 8, "\(spots.sorted().prefix(20))")
  }

  @Test func existingFilesAreReplacedOnlyWhenAsked() throws {
    let folder = try TemporaryFolder()
    var stateDict = StateDict()
    try stateDict.append("a", Tensor(shape: [2], [1, 2]))
    let path = try write(stateDict, as: "pth", folder)
    let before = try bytes(path)
    let error = #expect(throws: CheckpointError.self) { try stateDict.write(to: path) }
    #expect(error?.code == .cannotWrite)
    #expect(try bytes(path) == before)
    var options = WriteOptions()
    options.replacing = true
    try stateDict.write(to: path, as: .npz, options: options)
    #expect(try Checkpoint(path: path).container == .npz)
  }

  @Test func expandedGiantsAreWrittenAsViewsOrRefused() throws {
    let zero = Storage(Bytes([0, 0, 0, 0]))
    var stateDict = StateDict()
    try stateDict.append(
      "giant", Tensor(dtype: .float32, shape: [1 << 30, 1 << 30], strides: [0, 0], storage: zero))
    let folder = try TemporaryFolder()
    let error = #expect(throws: CheckpointError.self) { try stateDict.write(to: folder.path("out.npz")) }
    #expect(error?.code == .limitExceeded)
    #expect(folder.contents.isEmpty)
    let path = folder.path("out.pth")
    try stateDict.write(to: path)
    let view = try Checkpoint(path: path).stateDict()["giant"]
    #expect(view?.strides == [0, 0])
    #expect(view?.storage.byteCount == 4)
  }
}
