// A checkpoint of more than 4 GiB: sizes and offsets that only ZIP64 fields can hold. The file is
// sparse, so that it takes no room on the disk.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct LargeFileTests {
  @Test func tensorsBeyondFourGibibytesAreReadInPlace() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("large.pth")
    let count = 5 << 28  // float32 elements: 5 GiB
    let last: [UInt8] = [0, 0, 0x80, 0x3F]
    try LargeArchive.write(
      to: path,
      [
        ("archive/data.pkl", LargeArchive.pickle([("large", count), ("small", 1)]), size: nil),
        ("archive/data/0", last, size: 4 * count),
        ("archive/data/1", [0, 0, 0, 0x40], size: nil),
      ])

    let checkpoint = try Checkpoint(path: path)
    let stateDict = try checkpoint.stateDict()
    #expect(stateDict.map(\.tensor.shape) == [[count], [1]])
    #expect(stateDict.byteCount == 4 * count + 4)
    let large = try #require(stateDict["large"]).contiguousBytes()
    #expect(large.count == 4 * count && large.slice(4 * count - 4, 4)?.array == last)
    #expect(try stateDict["small"]?.floats() == [2])
  }
}

/// Writes archives with holes.
private enum LargeArchive {
  /// A record's content, of which `size`, if it is larger, says how many zeros go before it.
  typealias Record = (name: String, content: [UInt8], size: Int?)

  /// A dict of float32 vectors of these lengths, the first over storage 0.
  static func pickle(_ tensors: [(name: String, count: Int)]) -> [UInt8] {
    func text(_ string: String) -> [UInt8] { [0x58] + little(string.utf8.count, 4) + Array(string.utf8) }
    func number(_ value: Int) -> [UInt8] { [0x8A, 8] + little(value, 8) }
    var pickle: [UInt8] = [0x80, 2] + Array("}(".utf8)
    for (key, (name, count)) in tensors.enumerated() {
      pickle += text(name) + Array("ctorch._utils\n_rebuild_tensor_v2\n((".utf8) + text("storage")
      pickle += Array("ctorch\nFloatStorage\n".utf8) + text(String(key)) + text("cpu") + number(count)
      pickle += Array("tQK\0".utf8) + number(count) + [0x85, 0x4B, 1, 0x85, 0x89] + Array("}tR".utf8)
    }
    return pickle + Array("u.".utf8)
  }

  static func write(to path: String, _ records: [Record]) throws {
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    let file = try FileHandle(forWritingTo: URL(filePath: path))
    defer { try? file.close() }
    var directory: [UInt8] = []
    for (name, content, size) in records {
      let offset = Int(try file.offset())
      let size = size ?? content.count
      let wide = little(size, 8) + little(size, 8)
      // Version 4.5, stored, no time, CRC 0 for "not computed", sizes in the ZIP64 field
      let fields = little(0, 2) + little(0, 2) + little(0, 4) + little(0, 4) + little(-1, 4) + little(-1, 4)
      let nameLength = little(name.utf8.count, 2)
      try file.write(
        contentsOf: Array("PK\u{3}\u{4}".utf8) + little(45, 2) + fields + nameLength + little(20, 2)
          + Array(name.utf8) + little(1, 2) + little(16, 2) + wide)
      try file.seek(toOffset: try file.offset() + UInt64(size - content.count))
      try file.write(contentsOf: content)
      directory += Array("PK\u{1}\u{2}".utf8) + little(45, 2) + little(45, 2) + fields + nameLength
      directory += little(28, 2) + little(0, 2) + little(0, 2) + little(0, 2) + little(0, 4) + little(-1, 4)
      directory += Array(name.utf8) + little(1, 2) + little(24, 2) + wide + little(offset, 8)
    }
    let start = Int(try file.offset())
    let end = start + directory.count
    let counts = little(records.count, 8) + little(records.count, 8)
    let wideEnd = little(44, 8) + little(45, 2) + little(45, 2) + little(0, 4) + little(0, 4) + counts
    let locator = Array("PK\u{6}\u{7}".utf8) + little(0, 4) + little(end, 8) + little(1, 4)
    let all = [UInt8](repeating: 0xFF, count: 12)
    try file.write(
      contentsOf: directory + Array("PK\u{6}\u{6}".utf8) + wideEnd + little(directory.count, 8)
        + little(start, 8) + locator + Array("PK\u{5}\u{6}".utf8) + little(0, 4) + all + little(0, 2))
  }

  /// The lowest `count` bytes of `value`, little-endian.
  private static func little(_ value: Int, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }
}

extension FileHandle {
  fileprivate func write(contentsOf bytes: [UInt8]) throws { try write(contentsOf: Data(bytes)) }
}
