// What is no checkpoint, or a damaged one, gets one error with the right code and place; nothing traps.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct BadFileTests {
  /// Opens, reads and verifies all of a file.
  private func readEverything(_ path: String, member: String? = nil) throws {
    let checkpoint = try Checkpoint(path: path, member: member)
    try checkpoint.verifyChecksums()
    for (name, tensor) in try checkpoint.stateDict() {
      do {
        try read(tensor)
      } catch let error as CheckpointError {
        throw error.forTensor(name).inFile(path)
      }
    }
  }

  /// Reads a tensor in the way that its kind allows.
  private func read(_ tensor: Tensor) throws {
    switch tensor.layout {
    case .strided: _ = try tensor.contiguousBytes()
    case .nested, .jagged: for part in try tensor.nestedParts() { _ = try part.contiguousBytes() }
    case .meta: return
    default: _ = try tensor.dense()
    }
  }

  @Test(arguments: Fixtures.badCases.filter { $0.code != nil })
  func errorSaysWhatAndWhere(_ bad: BadCase) throws {
    let path = Fixtures.path(bad.path)
    let error = #expect(throws: CheckpointError.self) { try readEverything(path, member: bad.member) }
    let code = error?.code.description ?? "none"
    #expect(
      bad.code?.split(separator: "|").contains(code[...]) == true, "\(code): \(error?.description ?? "")")
    #expect(error?.file == path || bad.path.contains("index.json"))
    #expect(
      bad.words.isEmpty || error?.description.contains(bad.words) == true, "\(error?.description ?? "")")
  }

  /// As every way of reading there is does it, on a thread with as small a stack as Darwin gives.
  @Test(arguments: Fixtures.badCases)
  func noWayOfReadingTraps(_ bad: BadCase) {
    let path = Fixtures.path(bad.path)
    let done = DispatchSemaphore(value: 0)
    let thread = Thread {
      try? self.readEverything(path, member: bad.member)
      if let checkpoint = try? Checkpoint(path: path, member: bad.member) {
        _ = (checkpoint.globals, checkpoint.writer, checkpoint.pickleProtocol, checkpoint.stateDictKeys)
        for key in checkpoint.stateDictKeys.prefix(100) { _ = try? checkpoint.stateDict(key: key) }
        if let all = try? checkpoint.allTensors() {
          _ = (all.ties, checkpoint.unusedBytes(beside: all))
          for (_, tensor) in all { try? self.read(tensor) }
        }
        _ = try? checkpoint.verify()
      }
      done.signal()
    }
    thread.stackSize = 512 << 10
    thread.start()
    #expect(done.wait(timeout: .now() + 20) == .success, "takes more than 20 s")
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
