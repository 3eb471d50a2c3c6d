// One record of a zip archive: its bytes, found through its local header when they are asked for.
//
//   local header: signature PK\3\4, version, flags, method, time, date, CRC-32, sizes,
//                 name length (at 26), extra length (at 28), name, extra field, data
//
// Name, method and the two lengths are used: PyTorch pads the extra field (id "FB") so that data is
// aligned, and writers that stream leave the sizes and the CRC zero.

import Synchronization

/// What all records of an archive share.
final class ZipSource: Sendable {
  let file: Bytes
  let limits: Limits

  init(_ file: Bytes, _ limits: Limits) {
    self.file = file
    self.limits = limits
  }
}

/// One file in an archive. Its data is read, inflated and checked at most once.
package final class ZipRecord: Sendable {
  package let entry: ZipEntry
  private let source: ZipSource
  /// The data ends here or before.
  private let dataEnd: Int
  /// Where the data begins; 0 until its local header was read.
  private let dataStart = Atomic(0)
  private let inflated = Once<Bytes>()
  private let checksum = Once<UInt32>()

  static let localHeaderSize = 30
  static let localSignature: UInt32 = 0x0403_4B50
  private static let deflated: UInt16 = 8
  /// Encryption, strong encryption, masked headers.
  private static let encryptionFlags: UInt16 = 0x2041
  /// Deflate's two option bits, the data descriptor, and UTF-8 names.
  private static let knownFlags: UInt16 = 0x080E

  init(_ entry: ZipEntry, in source: ZipSource, dataEnd: Int) {
    self.entry = entry
    self.source = source
    self.dataEnd = dataEnd
  }

  package var name: String { entry.name }
  private var limits: Limits { source.limits }

  /// The record's content: a slice of the file when it is stored, else inflated once.
  package func bytes() throws(CheckpointError) -> Bytes {
    do throws(CheckpointError) {
      if entry.isStored { return try storedBytes() }
      return try inflated.value { () throws(CheckpointError) in
        try inflate(deflatedData(), 0..<entry.uncompressedSize)
      }
    } catch {
      throw error.inRecord(name)
    }
  }

  /// The content, which is a pickle: inflated to no more than a pickle's compressed size justifies.
  func pickleBytes() throws(CheckpointError) -> Bytes {
    let (ratio, overflow) = entry.compressedSize.multipliedReportingOverflow(by: limits.inflatedPickleRatio)
    guard
      entry.isStored || overflow
        || entry.uncompressedSize <= max(ratio, limits.inflatedPickleBase)
    else {
      throw CheckpointError(
        .limitExceeded,
        "is a pickle of \(entry.uncompressedSize) bytes in \(entry.compressedSize) compressed ones, which no real one is. "
          + "Raise Limits.inflatedPickleRatio if you trust it.",
        record: name)
    }
    return try bytes()
  }

  /// A copy of the first `count` bytes of the content, or of all of it if it is shorter.
  func prefix(_ count: Int) throws(CheckpointError) -> Bytes {
    do throws(CheckpointError) {
      let wanted = min(count, entry.uncompressedSize)
      if let whole = inflated.known { return whole.slice(0, wanted) ?? whole }
      if entry.isStored { return try storedBytes().slice(0, wanted)?.copied() ?? Bytes([]) }
      return try inflate(deflatedData(), 0..<wanted, isPrefix: true)
    } catch {
      throw error.inRecord(name)
    }
  }

  /// The content in `range`, as far as there is any.
  ///
  /// The whole is inflated and kept, unless more of it would lie idle than is used: then only what
  /// is asked for is made, and the caller keeps it.
  package func bytes(in range: Range<Int>) throws(CheckpointError) -> Bytes {
    let range = range.clamped(to: 0..<entry.uncompressedSize)
    let idle = entry.uncompressedSize - range.count
    guard !entry.isStored, inflated.known == nil, idle > max(range.count, ZipRecord.mostIdle) else {
      let whole = try bytes()
      return whole.slice(range.lowerBound, range.count) ?? whole
    }
    do throws(CheckpointError) {
      return try inflate(
        deflatedData(), range, isPrefix: range.upperBound < entry.uncompressedSize)
    } catch {
      throw error.inRecord(name)
    }
  }

  /// Bytes of inflated content that may be kept though nothing uses them.
  private static let mostIdle = 4096

  /// Bytes that have to be inflated for the checksum alone: 0 where they lie in the file or in memory.
  package var bytesToInflate: Int {
    guard !entry.isStored, inflated.known == nil else { return 0 }
    // One that declares more than that is refused for itself.
    let (most, overflow) = entry.compressedSize.multipliedReportingOverflow(by: limits.inflationRatio)
    return overflow ? entry.uncompressedSize : min(entry.uncompressedSize, most)
  }

  /// The CRC-32 of the content, held against the recorded one unless that is 0, "not computed".
  ///
  /// What nothing has asked for yet is inflated for it, but not kept.
  package func verifiedChecksum() throws(CheckpointError) -> UInt32 {
    try verified { () throws(CheckpointError) in try computedChecksum() }
  }

  /// Takes the CRC-32 of the content from one who has computed it.
  func confirm(_ known: UInt32) throws(CheckpointError) {
    _ = try verified { () throws(CheckpointError) in known }
  }

  private func verified(_ compute: () throws(CheckpointError) -> UInt32) throws(CheckpointError) -> UInt32 {
    try checksum.value { () throws(CheckpointError) in
      let actual = try compute()
      try check(actual)
      return actual
    }
  }

  /// Whether the archive records a checksum: 0 stands for "not computed".
  var hasChecksum: Bool { entry.recordedCRC != 0 }

  /// Holds the CRC-32 of the content against the recorded one, if there is one.
  func check(_ actual: UInt32) throws(CheckpointError) {
    guard !hasChecksum || entry.recordedCRC == actual else {
      throw CheckpointError(
        .checksumMismatch,
        "its CRC-32 is \(hex(actual)), but \(hex(entry.recordedCRC)) was recorded: the file is damaged. Get it again.",
        record: name)
    }
  }

  private func computedChecksum() throws(CheckpointError) -> UInt32 {
    if entry.isStored { return crc32(releasing: try bytes()) }
    if let content = inflated.known { return crc32(content) }
    do throws(CheckpointError) {
      return try inflatedChecksum(deflatedData(), size: entry.uncompressedSize)
    } catch {
      throw error.inRecord(name)
    }
  }

  private func storedBytes() throws(CheckpointError) -> Bytes {
    // Encryption makes the sizes differ too, so it comes first.
    try checkFlags()
    guard entry.compressedSize == entry.uncompressedSize else {
      throw CheckpointError(.malformed, "is stored, but its two sizes differ. Get the file again.")
    }
    return try data()
  }

  /// The compressed bytes of a record that can be inflated to what it declares.
  private func deflatedData() throws(CheckpointError) -> Bytes {
    try checkFlags()
    guard entry.method == ZipRecord.deflated else {
      throw CheckpointError(
        .unsupported,
        "is compressed with \(ZipRecord.methodName(entry.method)); only stored and deflated records are read. "
          + "Repack the archive with 'zip -0'.")
    }
    let data = try data()
    let (most, overflow) = data.count.multipliedReportingOverflow(by: limits.inflationRatio)
    guard overflow || entry.uncompressedSize <= most else {
      throw CheckpointError(
        .limitExceeded,
        "declares \(entry.uncompressedSize) bytes, more than its \(data.count) compressed bytes can hold.")
    }
    return data
  }

  private func checkFlags() throws(CheckpointError) {
    guard entry.flags & ZipRecord.encryptionFlags == 0 else {
      throw CheckpointError(.unsupported, "is encrypted: decrypt the archive first.")
    }
    guard entry.flags & ~ZipRecord.knownFlags == 0 else {
      throw CheckpointError(
        .unsupported,
        "has the unknown flags \(hex(UInt32(entry.flags & ~ZipRecord.knownFlags))). Repack the archive.")
    }
  }

  /// The record's bytes as they lie in the file.
  private func data() throws(CheckpointError) -> Bytes {
    var start = dataStart.load(ordering: .relaxed)
    if start == 0 {
      start = try checkedDataStart()
      dataStart.store(start, ordering: .relaxed)
    }
    guard let data = source.file.slice(start, entry.compressedSize) else { throw reachesTooFar }
    return data
  }

  /// Where the data begins behind a local header that says the same as the directory.
  private func checkedDataStart() throws(CheckpointError) -> Int {
    let file = source.file
    // The directory's name may have more bytes than this one, but not fewer. A copy leaves no page of the file in this
    // process's memory, which would be one or many for each record.
    let wanted = ZipRecord.localHeaderSize + name.utf8.count
    let header = try file.slice(entry.headerOffset, min(wanted, file.count - entry.headerOffset))?.copied()
    var reader = ByteReader(header ?? Bytes([]))
    guard try reader.read(UInt32.self) == ZipRecord.localSignature else {
      throw CheckpointError(
        .malformed, "its local header is not where the directory says. Get the file again.",
        offset: entry.headerOffset)
    }
    try reader.skip(4)  // version needed, flags
    let method = try reader.read(UInt16.self)
    guard method == entry.method else {
      throw CheckpointError(
        .malformed, "its local header has another compression method than the directory. Get the file again.",
        offset: entry.headerOffset)
    }
    try reader.skip(4)  // time and date
    let checksum = try reader.read(UInt32.self)
    let sizes = [
      (try reader.read(UInt32.self), entry.compressedSize),
      (try reader.read(UInt32.self), entry.uncompressedSize),
    ]
    // Zeros are left to the directory, all ones to the ZIP64 field.
    guard checksum == 0 || entry.recordedCRC == 0 || checksum == entry.recordedCRC,
      sizes.allSatisfy({ $0.0 == 0 || $0.0 == .max || Int($0.0) == $0.1 })
    else {
      throw CheckpointError(
        .malformed, "its local header has another size or CRC-32 than the directory. Get the file again.",
        offset: entry.headerOffset)
    }
    let nameLength = Int(try reader.read(UInt16.self))
    let extraLength = Int(try reader.read(UInt16.self))
    guard nameLength <= reader.remaining, try reader.readBytes(nameLength).utf8 ?? name == name else {
      throw CheckpointError(
        .malformed, "its local header has another name than the directory. Get the file again.",
        offset: entry.headerOffset)
    }
    let start = entry.headerOffset + reader.position + extraLength
    guard start <= dataEnd, entry.compressedSize <= dataEnd - start else { throw reachesTooFar }
    return start
  }

  private var reachesTooFar: CheckpointError {
    CheckpointError(
      .malformed, "reaches into the next record. Get the file again.", offset: entry.headerOffset)
  }

  private static func methodName(_ method: UInt16) -> String {
    switch method {
    case 9: "Deflate64"
    case 12: "bzip2"
    case 14: "LZMA"
    case 93: "Zstandard"
    case 95: "xz"
    default: "method \(method)"
    }
  }
}

/// A checksum as eight hexadecimal digits.
package func hex(_ checksum: UInt32) -> String {
  let digits = String(checksum, radix: 16)
  return String(repeating: "0", count: 8 - digits.count) + digits
}
