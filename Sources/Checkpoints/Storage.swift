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
  private let knownChecksum = Once<UInt32>()

  package enum Source: Sendable {
    case bytes(Bytes)
    case record(ZipRecord)
    /// Made when first asked for.
    case generated(@Sendable () throws(CheckpointError) -> Bytes)
    /// The elements of a tensor in another type; made as often as they are asked for, and never kept.
    indirect case converted(Tensor, DType)
    /// The file holds no bytes for it; the error says why.
    indirect case unavailable(CheckpointError)
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
    case .converted: return try bytes(in: 0..<byteCount)
    case .unavailable(let error): throw error
    }
  }

  /// The bytes in `range`, which lies inside.
  ///
  /// - Throws: as ``bytes()``.
  func bytes(in range: Range<Int>) throws(CheckpointError) -> Bytes {
    if case .converted(let tensor, let dtype) = source {
      return try range.slice(ofElements: dtype.size) { elements throws(CheckpointError) in
        try tensor.bytes(ofElements: elements, as: dtype)
      }
    }
    guard let bytes = try bytes().slice(range.lowerBound, range.count) else {
      throw CheckpointError(
        .outsideStorage, "holds \(byteCount) bytes, but more are asked for.", record: origin)
    }
    return bytes
  }

  /// Gives back the memory that the file of these bytes takes of this process, until it is looked at again.
  func releaseFile() {
    switch source {
    case .bytes(let bytes): bytes.releaseFile()
    case .record(let record): if record.entry.isStored { (try? record.bytes())?.releaseFile() }
    case .converted(let tensor, _): tensor.storage.releaseFile()
    case .generated, .unavailable: break
    }
  }

  /// The CRC-32 of all bytes, which is computed once.
  func checksum() throws(CheckpointError) -> UInt32 {
    let bytes = try bytes()
    return try knownChecksum.value { () throws(CheckpointError) in crc32(releasing: bytes) }
  }

  /// The archive record that the bytes lie in as they are; nil where there is none.
  var record: ZipRecord? {
    if case .record(let record) = source { return record }
    return nil
  }

  /// Notes the CRC-32 of all bytes, so that nobody computes it again; a zip record's is held against the recorded one.
  ///
  /// - Throws: `.checksumMismatch` when the file is damaged here.
  func confirm(_ checksum: UInt32) throws(CheckpointError) {
    if case .record(let record) = source, record.entry.uncompressedSize == byteCount {
      try record.confirm(checksum)
    }
    _ = try knownChecksum.value { () throws(CheckpointError) in checksum }
  }

  private func prefix(of bytes: Bytes) throws(CheckpointError) -> Bytes {
    guard let prefix = bytes.slice(0, byteCount) else {
      throw CheckpointError(
        .outsideStorage, "holds \(bytes.count) bytes, but its storage needs \(byteCount).", record: origin)
    }
    return prefix
  }
}
