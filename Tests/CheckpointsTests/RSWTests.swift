// What is written as .rsw comes back byte for byte, lies as the format says, and is never half there.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct RSWTests {
  @Test(arguments: Fixtures.readingCases)
  func everyTensorComesBack(_ name: String) throws {
    let folder = try TemporaryFolder()
    let expected = try Fixtures.expectation(name)
    guard expected.candidates == nil else { return }  // there is nothing to be written
    let original = try Checkpoint(path: Fixtures.path("reading/\(expected.file)"), member: expected.member)
    let stateDict = try original.stateDict()
    var options = WriteOptions()
    options.source = original
    if expected.tensors.contains(where: { !isRepresentable($0) }) {
      let error = #expect(throws: CheckpointError.self) {
        try stateDict.write(to: folder.path("a.rsw"), as: .rsw, options: options)
      }
      #expect(error?.code == .notRepresentable || error?.code == .noElements)
      #expect(folder.contents.isEmpty)
      return
    }
    try stateDict.write(to: folder.path("a.rsw"), as: .rsw, options: options)

    let copy = try Checkpoint(path: folder.path("a.rsw"))
    #expect(copy.container == .rsw)
    #expect(
      copy.metadata.contains {
        $0.name == "source" && $0.value == expected.file.split(separator: "/").last ?? ""
      })
    let read = try copy.stateDict()
    #expect(read.names.map { Array($0.utf8) } == stateDict.names.map { Array($0.utf8) })
    for ((key, mine), (_, theirs)) in zip(stateDict, read) {
      #expect(mine.dtype == theirs.dtype && mine.shape == theirs.shape, "\(key)")
      #expect(try mine.contiguousBytes() == theirs.contiguousBytes(), "\(key)")
    }
    try copy.verifyChecksums()
    #expect(folder.contents == ["a.rsw"])
  }

  /// Whether safetensors' readers have a type for the tensor.
  private func isRepresentable(_ tensor: ReadingCase.Tensor) -> Bool {
    let missing = [
      "complex32", "complex128", "quint8", "qint8", "qint32", "quint4x2", "quint2x4", "bits16", "bits8",
      "bits4x2", "bits2x4", "bits1x8",
    ]
    return tensor.layout == nil && !missing.contains(tensor.dtype)
  }

  @Test func tensorsOfMultiplesOf64BytesAreAligned() throws {
    let folder = try TemporaryFolder()
    try Checkpoint(path: Fixtures.path("models/resnet18/model.pth")).stateDict().write(
      to: folder.path("a.rsw"), as: .rsw)
    let data = try Data(contentsOf: URL(filePath: folder.path("a.rsw")))
    let size = data.prefix(8).enumerated().reduce(0) { $0 + Int($1.element) << (8 * $1.offset) }
    #expect((8 + size).isMultiple(of: 64))
    let header = try #require(
      JSONSerialization.jsonObject(with: data.dropFirst(8).prefix(size)) as? [String: Any])
    var ranges: [Range<Int>] = []
    for case let (_, tensor as [String: Any]) in header {
      guard let offsets = tensor["data_offsets"] as? [Int] else { continue }
      ranges.append(offsets[0]..<offsets[1])
      if (offsets[1] - offsets[0]).isMultiple(of: 64) { #expect(offsets[0].isMultiple(of: 64)) }
    }
    ranges.sort { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }
    #expect(
      zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound }, "holes or overlaps")
    #expect(ranges.last?.upperBound == data.count - 8 - size)
  }

  @Test func damageIsFoundByChecksum() throws {
    let folder = try TemporaryFolder()
    try Checkpoint(path: Fixtures.path("reading/zip-stored.pth")).stateDict().write(
      to: folder.path("a.rsw"), as: .rsw)
    var bytes = Array(try Data(contentsOf: URL(filePath: folder.path("a.rsw"))))
    bytes[bytes.count - 1] ^= 1
    let damaged = try Checkpoint(path: folder.write(bytes, as: "b.rsw"))
    let error = #expect(throws: CheckpointError.self) { try damaged.verifyChecksums() }
    #expect(error?.code == .checksumMismatch)
  }

  @Test func filesAreReplacedOnlyWhenAskedTo() throws {
    let folder = try TemporaryFolder()
    let stateDict = try Checkpoint(path: Fixtures.path("reading/zip-stored.pth")).stateDict()
    let path = try folder.write([1, 2, 3], as: "a.rsw")
    let error = #expect(throws: CheckpointError.self) { try stateDict.write(to: path, as: .rsw) }
    #expect(error?.code == .cannotWrite)
    #expect(try Data(contentsOf: URL(filePath: path)) == Data([1, 2, 3]))
    var options = WriteOptions()
    options.replacing = true
    try stateDict.write(to: path, as: .rsw, options: options)
    #expect(try Checkpoint(path: path).stateDict().count == stateDict.count)
  }

  @Test(arguments: ["bad/wrong-crc.pth", "bad/corrupt-deflate.pth", "reading/dtypes.pth"])
  func failuresLeaveNothingBehind(_ name: String) throws {
    let folder = try TemporaryFolder()
    let checkpoint = try Checkpoint(path: Fixtures.path(name))
    var options = WriteOptions()
    options.source = checkpoint
    #expect(throws: CheckpointError.self) {
      try checkpoint.stateDict().write(to: folder.path("a.rsw"), as: .rsw, options: options)
    }
    #expect(folder.contents.isEmpty)
  }

  @Test func viewsLargerThanAnyDiskAreRefused() throws {
    let folder = try TemporaryFolder()
    var stateDict = StateDict()
    for name in ["a", "b", "c"] {
      let storage = Storage(Bytes([0, 0, 0, 0]))
      try stateDict.append(name, Tensor(dtype: .float32, shape: [1 << 60], strides: [0], storage: storage))
    }
    let written = stateDict
    let error = #expect(throws: CheckpointError.self) {
      try written.write(to: folder.path("a.rsw"), as: .rsw)
    }
    #expect(error?.code == .limitExceeded)
    #expect(folder.contents.isEmpty)
  }

  @Test func typesThatSafetensorsLacksAreNamed() throws {
    let folder = try TemporaryFolder()
    let stateDict = try Checkpoint(path: Fixtures.path("reading/dtypes.pth")).stateDict()
    let error = #expect(throws: CheckpointError.self) {
      try stateDict.write(to: folder.path("a.rsw"), as: .rsw)
    }
    #expect(error?.code == .notRepresentable)
    #expect(error?.key != nil)
  }
}
