// What arrives in answer to one request, and whether it belongs to the file.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension HTTPExchange {
  /// Whether the body is the file or a part of it.
  var isFile: Bool { status == 200 || status == 206 }
}

/// Adds a body to a file, as long as it is the right one.
final class Reception {
  /// Why no more is taken.
  enum Refusal {
    /// It begins elsewhere, or is another version.
    case otherPart
    /// It is HTML.
    case page
    /// It has so many bytes.
    case tooLarge(Int?)
    /// So many bytes are free.
    case noRoom(Int)
    /// The system's error.
    case cannotWrite(CInt)
  }

  private(set) var file: PartialFile
  private(set) var refusal: Refusal?
  private(set) var hasBegun = false
  /// The server's name for this version of the file.
  private(set) var tag: String?
  /// How many bytes the file has, where the server says.
  private(set) var total: Int?
  private let start: Int
  private let mostBytes: Int

  /// - Parameters:
  ///   - start: from which byte on the file was asked for.
  ///   - tag: the version that the bytes before that are of.
  init(_ file: PartialFile, start: Int, mostBytes: Int, tag: String?) {
    (self.file, self.start, self.mostBytes, self.tag) = (file, start, mostBytes, tag)
  }

  /// Takes the next bytes; false when they are not wanted.
  func take(_ bytes: UnsafeRawBufferPointer, _ exchange: HTTPExchange) -> Bool {
    guard exchange.isFile else { return false }
    if !hasBegun { begin(exchange, bytes) }
    if file.count + bytes.count > mostBytes { refusal = refusal ?? .tooLarge(nil) }
    guard refusal == nil else { return false }
    let reason = file.append(bytes)
    if reason != 0 { refusal = .cannotWrite(reason) }
    return reason == 0
  }

  /// Looks at the header and at the first bytes of the body.
  func begin(_ exchange: HTTPExchange, _ bytes: [UInt8]) {
    bytes.withUnsafeBytes { begin(exchange, $0) }
  }

  private func begin(_ exchange: HTTPExchange, _ bytes: UnsafeRawBufferPointer) {
    hasBegun = true
    if exchange.status == 206 {
      let isOtherVersion = tag != nil && exchange.strongTag != nil && tag != exchange.strongTag
      guard exchange.contentRange?.first == start, !isOtherVersion else {
        (refusal, tag) = (.otherPart, nil)
        return
      }
    } else if file.count > 0 {
      // The server sends all of it: it gives no parts, or the file has changed.
      do { try file.empty() } catch { refusal = .cannotWrite(errno) }
    }
    (tag, total) = (exchange.strongTag, exchange.announcedSize)
    if file.count == 0, Reception.isPage(exchange, bytes) {
      refusal = .page
    } else if let total, total > mostBytes {
      refusal = .tooLarge(total)
    } else if let total, let room = CacheFolder.room(in: file.path.parent), room < total - file.count {
      refusal = .noRoom(room)
    }
  }

  /// Whether this is a page for people, as networks send it that want a log-in.
  private static func isPage(_ exchange: HTTPExchange, _ bytes: UnsafeRawBufferPointer) -> Bool {
    let type = exchange.fields["content-type"]?.lowercased() ?? ""
    let text = String(decoding: bytes.prefix(100), as: UTF8.self).lowercased().drop { $0.isWhitespace }
    return type.hasPrefix("text/html") || text.hasPrefix("<!doctype html") || text.hasPrefix("<html")
  }
}

extension String {
  /// The folder of this path.
  var parent: String { lastIndex(of: "/").map { String(self[...$0]) } ?? "." }
}
