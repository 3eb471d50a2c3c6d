// A tar archive: for each entry a header of 512 bytes, then its content, padded to whole blocks.
//
//   0 name (100)  124 size (12, octal or base 256)  148 checksum (8, octal)  156 type (1)
//   257 "ustar"  345 prefix of the name (155)
//
// Entries of type x hold "LENGTH path=…" and "LENGTH size=…" for the next one (POSIX pax); those of
// type L hold the next one's name (GNU). https://pubs.opengroup.org/onlinepubs/9799919799/utilities/pax.html

/// The regular files of a tar archive that lies in memory.
struct TarArchive {
  private(set) var names: [String] = []
  private var contents: [String: Bytes] = [:]

  private static let block = 512

  /// Whether `file` begins with a tar header: its checksum tells.
  static func recognizes(_ file: Bytes) -> Bool {
    guard let header = file.slice(0, block) else { return false }
    return checksumHolds(header)
  }

  init(_ file: Bytes, limits: Limits) throws(CheckpointError) {
    var reader = ByteReader(file)
    var attributes: [String: String] = [:]
    for _ in 0..<limits.tarEntries {
      let start = reader.position
      // Two blocks of zeros end the archive; some writers leave them out.
      guard reader.remaining >= TarArchive.block else { return }
      let header = try reader.readBytes(TarArchive.block)
      if header.array.allSatisfy({ $0 == 0 }) { return }
      guard TarArchive.checksumHolds(header) else {
        throw CheckpointError(
          .malformed, "the tar archive has a header whose checksum is wrong. Get the file again.",
          offset: start)
      }
      guard let size = attributes["size"].map({ Int($0) }) ?? TarArchive.size(header), size >= 0 else {
        throw CheckpointError(
          .malformed, "the tar archive has an entry whose size can't be. Get the file again.", offset: start)
      }
      let content = try reader.readBytes(size)
      try reader.skip(min((TarArchive.block - size % TarArchive.block) % TarArchive.block, reader.remaining))
      switch header.load(UInt8.self, at: 156) ?? 0 {
      case UInt8(ascii: "x"): attributes = try TarArchive.attributes(content)
      case UInt8(ascii: "L"): attributes["path"] = TarArchive.text(content)
      case 0, UInt8(ascii: "0"), UInt8(ascii: "7"):
        try add(content, as: attributes["path"] ?? TarArchive.name(header))
        attributes = [:]
      default: attributes = [:]  // folders, links, global headers
      }
    }
    throw CheckpointError(.limitExceeded, "is a tar archive of more than \(limits.tarEntries) entries.")
  }

  /// The content of the entry named `name`.
  subscript(name: String) -> Bytes? { contents[name] }

  /// The content of the entry named `name`.
  ///
  /// - Throws: `.missingRecord` when there is none.
  func entry(_ name: String) throws(CheckpointError) -> Bytes {
    guard let content = contents[name] else {
      throw CheckpointError(
        .missingRecord, "the tar archive does not hold this entry. Get the file again.", record: name)
    }
    return content
  }

  private mutating func add(_ content: Bytes, as name: String) throws(CheckpointError) {
    let name = name.droppingPrefix("./") ?? name
    guard contents.updateValue(content, forKey: name) == nil else {
      throw CheckpointError(
        .malformed, "the tar archive holds two entries of this name. Get the file again.", record: name)
    }
    names.append(name)
  }

  // MARK: Headers

  /// The sum of all bytes of the header, with the checksum's own field as spaces.
  private static func checksumHolds(_ header: Bytes) -> Bool {
    guard let recorded = octal(header, at: 148, count: 8), recorded > 0 else { return false }
    var sum = 8 * 0x20
    for (index, byte) in header.array.enumerated() where !(148..<156).contains(index) { sum += Int(byte) }
    return sum == recorded
  }

  private static func size(_ header: Bytes) -> Int? {
    guard let first = header.load(UInt8.self, at: 124) else { return nil }
    guard first & 0x80 != 0 else { return octal(header, at: 124, count: 12) }
    // Base 256, big-endian, without the mark in the first byte.
    var size = Int(first & 0x7F)
    for offset in 125..<136 {
      let (scaled, overflow) = size.multipliedReportingOverflow(by: 256)
      if overflow { return nil }
      size = scaled | Int(header.load(UInt8.self, at: offset) ?? 0)
    }
    return size
  }

  private static func octal(_ header: Bytes, at offset: Int, count: Int) -> Int? {
    let field = (header.slice(offset, count)?.array ?? []).drop { $0 == 0x20 }
    let digits = field.prefix { (0x30...0x37).contains($0) }
    guard !digits.isEmpty, field.dropFirst(digits.count).first.map({ $0 == 0 || $0 == 0x20 }) ?? true else {
      return nil
    }
    return Int(String(decoding: digits, as: UTF8.self), radix: 8)
  }

  private static func name(_ header: Bytes) -> String {
    let name = text(header.slice(0, 100) ?? header)
    guard header.slice(257, 6)?.hasPrefix("ustar\0") == true else { return name }
    let prefix = text(header.slice(345, 155) ?? header)
    return prefix.isEmpty ? name : prefix + "/" + name
  }

  private static func text(_ field: Bytes) -> String {
    String(decoding: field.array.prefix { $0 != 0 }, as: UTF8.self)
  }

  /// The attributes of a pax header: lines of "LENGTH name=value\n", where LENGTH counts the line.
  private static func attributes(_ content: Bytes) throws(CheckpointError) -> [String: String] {
    var result: [String: String] = [:]
    var rest = content.array[...]
    while !rest.isEmpty {
      let digits = rest.prefix { (0x30...0x39).contains($0) }
      guard let length = Int(String(decoding: digits, as: UTF8.self)), length > digits.count + 1,
        length <= rest.count
      else {
        throw CheckpointError(.malformed, "the tar archive has a damaged pax header. Get the file again.")
      }
      let line = rest.prefix(length).dropFirst(digits.count + 1).dropLast()
      if let separator = line.firstIndex(of: UInt8(ascii: "=")) {
        result[String(decoding: line[..<separator], as: UTF8.self)] =
          String(decoding: line[(separator + 1)...], as: UTF8.self)
      }
      rest = rest.dropFirst(length)
    }
    return result
  }
}
