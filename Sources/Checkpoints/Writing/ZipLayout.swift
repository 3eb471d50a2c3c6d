// Where the records of a zip archive go, and what stands around them (APPNOTE.TXT of PKWARE, 6.3.10).
//
//   for each record: local header, name, extra field with padding, the bytes, data descriptor
//   central directory: a header for each record
//   ZIP64 end of central directory, its locator, end of central directory
//
// Records are stored and begin on boundaries. As in the archives that torch writes, sizes and checksum of a record
// stand behind it, and those of the end always come in both widths.

/// A stored archive.
struct ZipLayout: Sendable {
  /// A record of the archive.
  struct Record: Sendable {
    let name: String
    /// Where its local header begins, and where its bytes do.
    let start: Int
    let offset: Int
    let byteCount: Int
  }

  private static let alignment = 64
  private static let longestName = 0xFFFF
  private(set) var records: [Record] = []
  private var places = FilePlaces()

  /// Gives a record its place.
  ///
  /// - Parameter tensor: whose bytes it holds.
  mutating func append(_ name: String, byteCount: Int, for tensor: String = "") throws(CheckpointError)
    -> Record
  {
    guard name.utf8.count <= ZipLayout.longestName else {
      throw CheckpointError(
        .notRepresentable,
        "has a name of \(name.utf8.count) bytes; zip archives hold \(ZipLayout.longestName).",
        key: tensor)
    }
    let start = places.end
    let bare = start + 30 + name.utf8.count + 4 + (ZipLayout.isLarge(byteCount, start) ? 20 : 0)
    let padding = (ZipLayout.alignment - bare % ZipLayout.alignment) % ZipLayout.alignment
    _ = try places.take(bare - start + padding, for: tensor)
    let record = Record(
      name: name, start: start, offset: try places.take(byteCount, for: tensor), byteCount: byteCount)
    _ = try places.take(ZipLayout.descriptorSize(byteCount), for: tensor)
    records.append(record)
    return record
  }

  /// Whether a size or a place does not fit into 32 bits.
  private static func isLarge(_ byteCount: Int, _ start: Int) -> Bool { max(byteCount, start) >= 0xFFFF_FFFF }

  private static func descriptorSize(_ byteCount: Int) -> Int {
    byteCount == 0 ? 0 : byteCount >= 0xFFFF_FFFF ? 24 : 16
  }

  /// What stands around a record, given its checksum.
  func framing(ofRecord index: Int, checksum: UInt32) -> [FileFraming] {
    let record = records[index]
    let header = (record.start, Bytes(local(record)))
    guard record.byteCount > 0 else { return [header] }
    return [header, (record.offset + record.byteCount, Bytes(descriptor(record, checksum)))]
  }

  /// What stands behind all records, given their checksums.
  func ending(_ checksums: [UInt32]) -> FileFraming {
    var directory = LittleEndian()
    for (record, checksum) in zip(records, checksums) { append(record, checksum, to: &directory) }
    let end = places.end
    return (end, Bytes(directory.bytes + trailer(directory.bytes.count, at: end)))
  }

  /// Names are UTF-8; sizes stand behind the bytes, where there are any.
  private func flags(_ record: Record) -> UInt16 { record.byteCount > 0 ? 0x808 : 0x800 }

  private func local(_ record: Record) -> [UInt8] {
    var header = LittleEndian()
    header.append(0x0403_4B50 as UInt32)
    header.append(0 as UInt16)
    header.append(flags(record))
    for _ in 0..<3 { header.append(0 as UInt16) }  // stored; no time
    for _ in 0..<3 { header.append(0 as UInt32) }  // checksum and sizes stand behind
    let nameCount = record.name.utf8.count
    let extra = record.offset - record.start - 30 - nameCount
    header.append(UInt16(nameCount))
    header.append(UInt16(extra))
    header.bytes += Array(record.name.utf8)
    if ZipLayout.isLarge(record.byteCount, record.start) {
      header.append(1 as UInt16)
      header.append(16 as UInt16)
      header.append(UInt64(record.byteCount))
      header.append(UInt64(record.byteCount))
    }
    // torch's padding: a field "FB" of Zs
    let used = header.bytes.count + 4
    header.bytes += Array("FB".utf8)
    header.append(UInt16(record.offset - record.start - used))
    header.bytes += [UInt8](repeating: UInt8(ascii: "Z"), count: record.offset - record.start - used)
    return header.bytes
  }

  private func descriptor(_ record: Record, _ checksum: UInt32) -> [UInt8] {
    var descriptor = LittleEndian()
    descriptor.append(0x0807_4B50 as UInt32)
    descriptor.append(checksum)
    for _ in 0..<2 {
      if record.byteCount >= 0xFFFF_FFFF {
        descriptor.append(UInt64(record.byteCount))
      } else {
        descriptor.append(UInt32(record.byteCount))
      }
    }
    return descriptor.bytes
  }

  private func append(_ record: Record, _ checksum: UInt32, to directory: inout LittleEndian) {
    let isLarge = ZipLayout.isLarge(record.byteCount, record.start)
    directory.append(0x0201_4B50 as UInt32)
    directory.append(0 as UInt16)
    directory.append(0 as UInt16)
    directory.append(flags(record))
    for _ in 0..<3 { directory.append(0 as UInt16) }
    directory.append(checksum)
    for _ in 0..<2 { directory.append(isLarge ? UInt32.max : UInt32(record.byteCount)) }
    directory.append(UInt16(record.name.utf8.count))
    directory.append(isLarge ? 28 as UInt16 : 0)
    for _ in 0..<3 { directory.append(0 as UInt16) }  // comment, disk, attributes
    directory.append(0 as UInt32)
    directory.append(isLarge ? UInt32.max : UInt32(record.start))
    directory.bytes += Array(record.name.utf8)
    if isLarge {
      directory.append(1 as UInt16)
      directory.append(24 as UInt16)
      directory.append(UInt64(record.byteCount))
      directory.append(UInt64(record.byteCount))
      directory.append(UInt64(record.start))
    }
  }

  private func trailer(_ directorySize: Int, at start: Int) -> [UInt8] {
    var trailer = LittleEndian()
    trailer.append(0x0606_4B50 as UInt32)
    trailer.append(44 as UInt64)
    trailer.append(0x031E as UInt16)  // Unix, version 3.0
    trailer.append(45 as UInt16)
    trailer.append(0 as UInt32)
    trailer.append(0 as UInt32)
    trailer.append(UInt64(records.count))
    trailer.append(UInt64(records.count))
    trailer.append(UInt64(directorySize))
    trailer.append(UInt64(start))

    trailer.append(0x0706_4B50 as UInt32)
    trailer.append(0 as UInt32)
    trailer.append(UInt64(start + directorySize))
    trailer.append(1 as UInt32)

    trailer.append(0x0605_4B50 as UInt32)
    trailer.append(0 as UInt32)
    for _ in 0..<2 { trailer.append(UInt16(min(records.count, 0xFFFF))) }
    trailer.append(UInt32(min(directorySize, 0xFFFF_FFFF)))
    trailer.append(UInt32(min(start, 0xFFFF_FFFF)))
    trailer.append(0 as UInt16)
    return trailer.bytes
  }
}

/// Numbers one after the other, the least significant byte first.
struct LittleEndian {
  var bytes: [UInt8] = []

  mutating func append<Number: FixedWidthInteger>(_ number: Number) {
    for byte in 0..<(Number.bitWidth / 8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> Number(8 * byte)))
    }
  }
}
