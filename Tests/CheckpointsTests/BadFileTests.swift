// What is no checkpoint, or a damaged one, gets one error with the right code and place; nothing traps.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct BadFileTests {
  /// Opens, reads and verifies all of a file.
  private func readEverything(_ path: String) throws {
    let checkpoint = try Checkpoint(path: path)
    try checkpoint.verifyChecksums()
    for (_, tensor) in try checkpoint.stateDict() { _ = try tensor.contiguousBytes() }
  }

  @Test(arguments: [
    ("truncated.pth", CheckpointError.Code.truncated, "Get the file again"),
    ("truncated-tail.pth", .truncated, "Get the file again"),
    ("missing-record.pth", .missingRecord, "data/1"),
    ("too-many-elements.pth", .outsideStorage, "tensor \""),
    ("storage-larger-than-record.pth", .outsideStorage, "data/"),
    ("view-outside-storage.pth", .outsideStorage, "tensor \""),
    ("negative-stride.pth", .malformed, "negative"),
    ("overflowing-shape.pth", .limitExceeded, "tensor \""),
    ("wrong-crc.pth", .checksumMismatch, "data/"),
    ("corrupt-deflate.pth", .malformed, "data/"),
    ("big-endian.pth", .unsupported, "byteorder"),
    ("legacy-truncated.pth", .truncated, "Get the file again"),
    ("legacy-missing-storage.pth", .missingRecord, "record \"0\""),
    ("legacy-wrong-count.pth", .outsideStorage, "5 elements where 10"),
    ("html.pth", .notACheckpoint, "web page"),
    ("git-lfs.pth", .notACheckpoint, "git lfs pull"),
    ("gzip.pth", .notACheckpoint, "gzip"),
    ("empty.pth", .notACheckpoint, "empty"),
    ("two-data-pkl.pth", .malformed, "data.pkl"),
    ("not-a-state-dict.pth", .noStateDict, "a string"),
    ("no-data-pkl.pth", .notACheckpoint, "data.pkl"),
  ])
  func errorSaysWhatAndWhere(_ file: String, _ code: CheckpointError.Code, _ words: String) {
    let path = Fixtures.path("bad/\(file)")
    let error = #expect(throws: CheckpointError.self) { try readEverything(path) }
    #expect(error?.code == code)
    #expect(error?.file == path)
    #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
  }

  @Test func callsInPicklesAreNeverMade() throws {
    try readEverything(Fixtures.path("bad/os-system.pth"))
    #expect(!FileManager.default.fileExists(atPath: "this-pickle-ran-a-command"))
  }

  @Test func pathsThatAreNoFilesAreRefused() throws {
    let folder = try TemporaryFolder()
    mkfifo(folder.path("pipe"), 0o600)
    for path in [folder.path("nothing"), folder.path("pipe"), folder.path("")] {
      let error = #expect(throws: CheckpointError.self) { try Checkpoint(path: path) }
      #expect(error?.code == .cannotRead)
    }
  }

  @Test(arguments: [
    "zip-stored", "zip-deflated", "zip64-forced", "zip-zero-local-headers", "protocol-4", "legacy",
    "legacy-protocol-4",
  ])
  func everyTruncationIsAnError(_ name: String) throws {
    let folder = try TemporaryFolder()
    let whole = Array(try Data(contentsOf: URL(filePath: Fixtures.path("reading/\(name).pth"))))
    for length in whole.indices {
      let path = try folder.write(Array(whole[..<length]), as: "cut.pth")
      #expect(throws: CheckpointError.self, "cut to \(length) bytes") { try readEverything(path) }
    }
  }

  @Test(arguments: [
    "zip-stored", "zip-deflated", "zip64-forced", "rebuild-from-type-v2", "views", "legacy", "legacy-views",
  ])
  func flippedBitsNeverTrap(_ name: String) throws {
    let folder = try TemporaryFolder()
    var bytes = Array(try Data(contentsOf: URL(filePath: Fixtures.path("reading/\(name).pth"))))
    for index in bytes.indices {
      let bit = UInt8(1) << UInt8(index % 8)
      bytes[index] ^= bit
      let path = try folder.write(bytes, as: "flipped.pth")
      do { try readEverything(path) } catch is CheckpointError {}
      bytes[index] ^= bit
    }
  }
}
