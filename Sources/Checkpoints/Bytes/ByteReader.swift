// A cursor over bytes. Every read is checked and moves on; reading past the end throws. The
// readers of all formats use it, so that no index arithmetic on file content stands elsewhere.

/// Reads little-endian values one after the other; throws `.truncated` at the end.
package struct ByteReader {
  package let bytes: Bytes
  /// Where the next read begins.
  package private(set) var position: Int

  package init(_ bytes: Bytes, at position: Int = 0) {
    self.bytes = bytes
    self.position = min(max(position, 0), bytes.count)
  }

  /// How many bytes are left.
  package var remaining: Int { bytes.count - position }

  /// The next little-endian integer.
  package mutating func read<T: FixedWidthInteger>(_ type: T.Type) throws(CheckpointError) -> T {
    guard let value = bytes.load(type, at: position) else { throw truncated(MemoryLayout<T>.size) }
    position += MemoryLayout<T>.size
    return value
  }

  /// The next big-endian Float64, as pickles write it.
  package mutating func readBigEndianDouble() throws(CheckpointError) -> Double {
    Double(bitPattern: try read(UInt64.self).byteSwapped)
  }

  /// The next `count` bytes, without a copy.
  package mutating func readBytes(_ count: Int) throws(CheckpointError) -> Bytes {
    guard let slice = bytes.slice(position, count) else { throw truncated(count) }
    position += count
    return slice
  }

  /// The bytes before the next newline, which is passed over too.
  package mutating func readLine() throws(CheckpointError) -> Bytes {
    var end = position
    while let byte = bytes.load(UInt8.self, at: end) {
      if byte == 0x0A {
        let line = try readBytes(end - position)
        position += 1
        return line
      }
      end += 1
    }
    throw truncated(end - position + 1)
  }

  /// Passes over `count` bytes.
  package mutating func skip(_ count: Int) throws(CheckpointError) {
    _ = try readBytes(count)
  }

  private func truncated(_ wanted: Int) -> CheckpointError {
    CheckpointError(
      .truncated, "ends too soon: \(wanted) bytes are needed and \(remaining) are left. Get the file again.",
      offset: position)
  }
}
