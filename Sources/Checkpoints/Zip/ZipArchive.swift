// A zip archive's directory, read from the end of the file as PKWARE's APPNOTE.TXT describes it:
//
//   [local header, name, extra field, data, data descriptor?]*    one for each entry
//   [central header, name, extra field, comment]*                 the directory, one for each entry
//   [ZIP64 end of central directory][ZIP64 locator]               only where 16 or 32 bits are too few
//   [end of central directory, comment]
//
// Sizes, checksums and places are taken from the central directory, which is complete even where
// a writer left zeros in the local headers and wrote descriptors behind the data.
// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT

/// The entries of a zip archive that lies in memory.
package struct ZipArchive: Sendable {
  /// All entries but folders, in the order of the directory.
  package let records: [ZipRecord]
  private let positions: [CodeUnitKey: Int]
  private let source: ZipSource
  /// How much of the file checksums leave in this process's memory.
  private static let mostMapped = 1 << 23

  package init(_ file: Bytes, limits: Limits = .standard) throws(CheckpointError) {
    let end = try EndOfDirectory(file)
    guard end.entryCount <= limits.archiveEntries else {
      throw CheckpointError(
        .limitExceeded,
        "declares \(end.entryCount) archive entries; at most \(limits.archiveEntries) are read.")
    }
    // The smallest central header has 46 bytes: a larger count can't be true.
    guard end.entryCount <= end.directory.count / 46 else {
      throw CheckpointError(
        .malformed, "declares \(end.entryCount) archive entries, more than its directory holds.")
    }

    var entries: [ZipEntry] = []
    entries.reserveCapacity(end.entryCount)
    var reader = ByteReader(end.directory)
    var firstOffset = end.directoryStart
    for _ in 0..<end.entryCount {
      let entry = try ZipEntry(&reader, archiveStart: end.archiveStart)
      firstOffset = min(firstOffset, entry.headerOffset)
      if entry.name.utf8.last != UInt8(ascii: "/") { entries.append(entry) }
    }

    // Another archive in front is no prefix to pass over: it holds what would be missing.
    guard firstOffset == 0 || file.load(UInt32.self, at: 0) != ZipRecord.localSignature else {
      throw CheckpointError(
        .unsupported,
        "is several zip archives one behind the other, as torch.distributed.checkpoint writes them. "
          + "Convert it with torch.distributed.checkpoint.format_utils.dcp_to_torch_save.")
    }

    let dataEnds = try ZipArchive.dataEnds(entries, directoryStart: end.directoryStart)
    var records: [ZipRecord] = []
    var positions: [CodeUnitKey: Int] = [:]
    let source = ZipSource(file, limits)
    records.reserveCapacity(entries.count)
    positions.reserveCapacity(entries.count)
    for (index, entry) in entries.enumerated() {
      guard positions.updateValue(index, forKey: CodeUnitKey(entry.name)) == nil else {
        throw CheckpointError(
          .malformed, "the archive holds two records of this name, and readers differ in which they take.",
          record: entry.name)
      }
      records.append(ZipRecord(entry, in: source, dataEnd: dataEnds[index]))
    }
    self.records = records
    self.positions = positions
    self.source = source
  }

  /// Holds every record against the checksum that is recorded for it.
  ///
  /// - Throws: `.checksumMismatch` for the first damaged record, `.malformed` for one that can't be read,
  ///   `.limitExceeded` when that takes longer than an archive of `byteCount` bytes justifies.
  func verifyChecksums(byteCount: Int, _ limits: Limits) throws(CheckpointError) {
    try checkInflation(byteCount: byteCount, limits)
    let read = Locked(0)
    try inParallel(records.count) { index throws(CheckpointError) in
      let record = records[index]
      _ = try record.verifiedChecksum()
      // Many small records take as much of this process's memory as a large one.
      let isMuch = read.withLock { read in
        read = read.saturatingAdding(record.entry.compressedSize)
        defer { if read >= ZipArchive.mostMapped { read = 0 } }
        return read >= ZipArchive.mostMapped
      }
      if isMuch { source.file.releaseFile() }
    }
  }

  /// Refuses to inflate more for checksums alone than an archive of `byteCount` bytes justifies: it takes no
  /// memory, but time.
  func checkInflation(byteCount: Int, _ limits: Limits) throws(CheckpointError) {
    let unread = records.reduce(0) { $0.saturatingAdding($1.bytesToInflate) }
    let most = limits.checkedInflation(forFileOf: byteCount)
    guard unread <= most else {
      throw CheckpointError(
        .limitExceeded,
        "has compressed records beside its weights that inflate to \(unread) bytes; at most \(most) are "
          + "inflated for their checksums. Repack it with 'zip -0' if you trust it.")
    }
  }

  /// Whether `file` ends as a zip archive does, whatever it begins with.
  static func recognizes(_ file: Bytes) -> Bool { (try? EndOfDirectory.find(file)) != nil }

  /// The record named `name`.
  package subscript(name: String) -> ZipRecord? { positions[CodeUnitKey(name)].map { records[$0] } }

  /// Where the data of each entry must end at the latest: at the next entry's header.
  ///
  /// - Throws: `.malformed` when two entries claim the same bytes.
  private static func dataEnds(_ entries: [ZipEntry], directoryStart: Int) throws(CheckpointError) -> [Int] {
    var ends = [Int](repeating: directoryStart, count: entries.count)
    let order = entries.indices.sorted { entries[$0].headerOffset < entries[$1].headerOffset }
    for (position, index) in order.enumerated() {
      let entry = entries[index]
      guard entry.headerOffset <= directoryStart else {
        throw CheckpointError(
          .malformed, "lies behind the archive's directory. Get the file again.", record: entry.name)
      }
      if position + 1 < order.count { ends[index] = entries[order[position + 1]].headerOffset }
      let room = ends[index] - entry.headerOffset - ZipRecord.localHeaderSize
      guard room >= 0, entry.compressedSize <= room else {
        throw CheckpointError(
          .malformed,
          "declares \(entry.compressedSize) bytes, which reach into the next record or past the end of the data. "
            + "Get the file again.",
          record: entry.name)
      }
    }
    return ends
  }
}

/// What the central directory says of one entry.
package struct ZipEntry: Sendable {
  package let name: String
  package let flags: UInt16
  package let method: UInt16
  package let recordedCRC: UInt32
  package let compressedSize: Int
  package let uncompressedSize: Int
  /// Where the local header begins in the file.
  let headerOffset: Int
  /// Whether the data is not compressed.
  var isStored: Bool { method == 0 }

  /// Reads one central header.
  init(_ reader: inout ByteReader, archiveStart: Int) throws(CheckpointError) {
    guard try reader.read(UInt32.self) == 0x0201_4B50 else {
      throw CheckpointError(.malformed, "the archive's directory is damaged. Get the file again.")
    }
    try reader.skip(4)  // version made by, version needed
    flags = try reader.read(UInt16.self)
    method = try reader.read(UInt16.self)
    try reader.skip(4)  // time and date
    recordedCRC = try reader.read(UInt32.self)
    let compressed = try reader.read(UInt32.self)
    let uncompressed = try reader.read(UInt32.self)
    let nameLength = Int(try reader.read(UInt16.self))
    let extraLength = Int(try reader.read(UInt16.self))
    let commentLength = Int(try reader.read(UInt16.self))
    let disk = try reader.read(UInt16.self)
    try reader.skip(6)  // internal and external attributes
    let offset = try reader.read(UInt32.self)
    let nameBytes = try reader.readBytes(nameLength)
    // Names in other encodings only have to be distinct: each byte becomes a character.
    name = nameBytes.utf8 ?? String(String.UnicodeScalarView(nameBytes.array.map { Unicode.Scalar($0) }))
    guard disk == 0 || disk == .max else {
      throw CheckpointError(
        .unsupported, "lies on another volume of a split archive: join the volumes first.", record: name)
    }
    var wide = try Zip64Fields(extra: reader.readBytes(extraLength))
    try reader.skip(commentLength)

    // The ZIP64 field holds, in this order, just the values that have all ones here.
    let wideUncompressed = uncompressed == .max ? try wide.next(name) : Int(uncompressed)
    let wideCompressed = compressed == .max ? try wide.next(name) : Int(compressed)
    let wideOffset = offset == .max ? try wide.next(name) : Int(offset)
    let (headerOffset, overflow) = wideOffset.addingReportingOverflow(archiveStart)
    guard !overflow else {
      throw CheckpointError(.malformed, "its place in the archive is out of range.", record: name)
    }
    self.headerOffset = headerOffset
    uncompressedSize = wideUncompressed
    compressedSize = wideCompressed
  }
}

/// The 64-bit values of an entry's extra field (id 1), handed out one after the other.
private struct Zip64Fields {
  private var values: ByteReader?

  init(extra: Bytes) throws(CheckpointError) {
    var reader = ByteReader(extra)
    while reader.remaining >= 4 {
      let identifier = try reader.read(UInt16.self)
      let size = Int(try reader.read(UInt16.self))
      // Some writers pad the extra field with bytes that are no fields: these end the search.
      guard size <= reader.remaining else { return }
      let field = try reader.readBytes(size)
      if identifier == 1 { values = ByteReader(field) }
    }
  }

  /// The next value; `name` is for the error.
  mutating func next(_ name: String) throws(CheckpointError) -> Int {
    guard let value = try? values?.read(UInt64.self), let size = Int(exactly: value) else {
      throw CheckpointError(.malformed, "its ZIP64 sizes are missing or out of range.", record: name)
    }
    return size
  }
}

/// The archive's end: where the directory lies and how many entries it has.
private struct EndOfDirectory {
  let directory: Bytes
  /// Where the directory begins in the file.
  let directoryStart: Int
  let entryCount: Int
  /// Where the archive begins: not at 0 when something stands before it.
  let archiveStart: Int

  private static let signature: UInt32 = 0x0605_4B50
  private static let wideSignature: UInt32 = 0x0606_4B50
  private static let locatorSignature: UInt32 = 0x0706_4B50
  private static let size = 22
  private static let locatorSize = 20
  private static let wideSize = 56

  init(_ file: Bytes) throws(CheckpointError) {
    let end = try EndOfDirectory.find(file)
    var reader = ByteReader(file, at: end + 4)
    let disk = try reader.read(UInt16.self)
    try reader.skip(4)  // disk of the directory, entries on this disk
    var entryCount = Int(try reader.read(UInt16.self))
    var size = Int(try reader.read(UInt32.self))
    var offset = Int(try reader.read(UInt32.self))
    var directoryEnd = end
    var misplacement: Int?

    let locator = end - EndOfDirectory.locatorSize
    if locator >= 0, file.load(UInt32.self, at: locator) == EndOfDirectory.locatorSignature {
      let wide: Int
      (wide, misplacement) = try EndOfDirectory.findWide(file, locator: locator)
      var reader = ByteReader(file, at: wide + 32)
      entryCount = try EndOfDirectory.int(reader.read(UInt64.self))
      size = try EndOfDirectory.int(reader.read(UInt64.self))
      offset = try EndOfDirectory.int(reader.read(UInt64.self))
      directoryEnd = wide
    } else if disk != 0 {
      throw CheckpointError(.unsupported, "is one volume of a split archive: join the volumes first.")
    }

    // The directory ends where its end record begins; what its offset lacks stands before the archive.
    guard let directory = file.slice(directoryEnd - size, size), directoryEnd - size >= offset else {
      throw CheckpointError(.malformed, "the archive's directory lies outside the file. Get the file again.")
    }
    self.directory = directory
    directoryStart = directoryEnd - size
    self.entryCount = entryCount
    archiveStart = directoryEnd - size - offset
    // What stands before the archive moves everything in it by the same number of bytes.
    guard misplacement == nil || misplacement == archiveStart else { throw EndOfDirectory.damaged(end) }
  }

  /// The last end record whose comment reaches exactly to the end of the file.
  static func find(_ file: Bytes) throws(CheckpointError) -> Int {
    let longestComment = 0xFFFF
    var position = file.count - size
    let first = max(0, position - longestComment)
    while position >= first {
      if file.load(UInt32.self, at: position) == signature,
        let comment = file.load(UInt16.self, at: position + 20), position + size + Int(comment) == file.count
      {
        return position
      }
      position -= 1
    }
    throw CheckpointError(
      .truncated, "is a zip archive without its directory, so it was cut short. Get the file again.",
      offset: file.count)
  }

  /// The ZIP64 end record, which ends where the locator begins; and how far it is from the place that
  /// the locator names, for something may stand before the archive.
  private static func findWide(
    _ file: Bytes, locator: Int
  ) throws(CheckpointError) -> (place: Int, misplacement: Int) {
    var reader = ByteReader(file, at: locator + 8)
    let named = Int(exactly: try reader.read(UInt64.self)) ?? -1
    for position in [locator - wideSize, named] where file.load(UInt32.self, at: position) == wideSignature {
      // It may have data behind its fields; its size counts what comes after the size.
      let size = file.load(UInt64.self, at: position + 4) ?? 0
      let reachesLocator = position == locator - wideSize || size == UInt64(clamping: locator - position - 12)
      if named >= 0, position <= locator - wideSize, reachesLocator { return (position, position - named) }
    }
    throw damaged(locator)
  }

  private static func damaged(_ offset: Int) -> CheckpointError {
    CheckpointError(.malformed, "its ZIP64 directory is damaged. Get the file again.", offset: offset)
  }

  private static func int(_ value: UInt64) throws(CheckpointError) -> Int {
    guard let result = Int(exactly: value), result <= Int.max / 2 else {
      throw CheckpointError(.malformed, "its ZIP64 directory holds a number out of range.")
    }
    return result
  }
}
