// The memory behind tensors. Tensors that share a storage in the file share the object here.

/// A run of bytes that one or more tensors look into; loaded when first asked for.
public final class Storage: Sendable {
  /// The number of bytes.
  public let byteCount: Int
  /// Where the bytes come from, such as the record `archive/data/17`; empty for new ones.
  public let origin: String
  /// The device that the storage was saved from, such as `cpu` or `cuda:7`.
  public let device: String
  private let source: Source
  private let made = Once<Bytes>()

  package enum Source: Sendable {
    case bytes(Bytes)
    case record(ZipRecord)
    /// Made when first asked for.
    case generated(@Sendable () throws(CheckpointError) -> Bytes)
    /// The file holds no bytes for it; the error says why.
    case unavailable(CheckpointError)
  }

  package init(_ source: Source, byteCount: Int, origin: String = "", device: String = "cpu") {
    self.source = source
    self.byteCount = byteCount
    self.origin = origin
    self.device = device
  }

  /// A storage of its own for `bytes`.
  public convenience init(_ bytes: Bytes) {
    self.init(.bytes(bytes), byteCount: bytes.count)
  }

  /// The bytes: a slice of the mapped file where the file holds them plainly.
  ///
  /// - Throws: ``CheckpointError`` when a record is damaged or shorter than it should be.
  public func bytes() throws(CheckpointError) -> Bytes {
    switch source {
    case .bytes(let bytes): return bytes
    case .record(let record):
      if record.entry.isStored { return try prefix(of: record.bytes()) }
      return try prefix(of: made.value { () throws(CheckpointError) in try record.bytes(in: 0..<byteCount) })
    case .generated(let make): return try prefix(of: made.value(make))
    case .unavailable(let error): throw error
    }
  }

  /// The archive record that the bytes lie in as they are; nil where there is none.
  var record: ZipRecord? {
    if case .record(let record) = source { return record }
    return nil
  }

  /// The CRC-32 of all bytes; a zip record's is computed once and held against the recorded one.
  ///
  /// - Throws: `.checksumMismatch` when the file is damaged here.
  package func checksum() throws(CheckpointError) -> UInt32 {
    // Inflated first, as it will be needed: the record's checksum is then that of what is in memory.
    let bytes = try bytes()
    if case .record(let record) = source {
      let checksum = try record.verifiedChecksum()
      if record.entry.uncompressedSize == byteCount { return checksum }
    }
    return crc32(bytes)
  }

  private func prefix(of bytes: Bytes) throws(CheckpointError) -> Bytes {
    guard let prefix = bytes.slice(0, byteCount) else {
      throw CheckpointError(
        .outsideStorage, "holds \(bytes.count) bytes, but its storage needs \(byteCount).", record: origin)
    }
    return prefix
  }
}
