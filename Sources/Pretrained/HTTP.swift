// One HTTP request, what comes back, and how it ended, in the terms of RFC 9110.

/// A GET request.
struct HTTPRequest {
  let url: String
  /// Such as `Range: bytes=100-`.
  var headerLines: [String] = []
  var mostRedirects = 10
  /// How long connecting may take.
  var connectSeconds = 15
  /// How long nothing may arrive.
  var stallSeconds = 30
}

/// What comes back while it does. A redirect's header is followed by the header of where it leads.
final class HTTPExchange {
  /// The status of the last header; 0 before one came.
  private(set) var status = 0
  /// The last header's fields, by their names in small letters.
  private(set) var fields: [String: String] = [:]
  /// Takes bytes of the body; false ends the exchange.
  var receive: (UnsafeRawBufferPointer) -> Bool = { _ in true }
  /// Asked about once a second and whenever data moves.
  var isCancelled: () -> Bool = { false }

  private static let mostFields = 200

  func add(headerLine bytes: UnsafeRawBufferPointer) {
    let line = String(decoding: bytes, as: UTF8.self).filter { $0 != "\r\n" && $0 != "\n" && $0 != "\r" }
    if line.hasPrefix("HTTP/") {
      // HTTP/1.1 206 Partial Content
      fields = [:]
      let words = line.split(separator: " ")
      status = words.count > 1 ? Int(words[1]) ?? 0 : 0
    } else if let colon = line.firstIndex(of: ":"), fields.count < HTTPExchange.mostFields {
      fields[line[..<colon].lowercased()] = HTTPExchange.trimmed(line[line.index(after: colon)...])
    }
  }

  private static func trimmed(_ text: Substring) -> String {
    func isSpace(_ character: Character) -> Bool { character == " " || character == "\t" }
    return String(text.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
  }

  /// The file's size that the header announces: of the whole file where a part of it comes.
  var announcedSize: Int? {
    if status == 206 || status == 416 { return contentRange?.total }
    return fields["content-length"].flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil }
  }

  /// `bytes 100-199/200`: the first byte that comes, and the size of the file. Either may be missing.
  var contentRange: (first: Int?, total: Int?)? {
    guard let text = fields["content-range"], text.lowercased().hasPrefix("bytes ") else { return nil }
    let parts = text.dropFirst("bytes ".count).split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2 else { return nil }
    return (parts[0].split(separator: "-").first.flatMap { Int($0) }, Int(parts[1]))
  }

  /// A tag that stays the same as long as the file's bytes do. A weak one says less.
  var strongTag: String? { fields["etag"].flatMap { $0.hasPrefix("\"") ? $0 : nil } }

  /// How many seconds the server asks to be left alone.
  var retryAfter: Int? { fields["retry-after"].flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil } }
}

/// How libcurl ended: its code, and a message that names the host.
struct CurlOutcome {
  let code: CInt
  let message: String

  // CURLE_… of curl/curl.h
  static let outOfMemory: CInt = 27
  private static let writeError: CInt = 23
  private static let aborted: CInt = 42
  private static let tooManyRedirects: CInt = 47
  private static let unknownCertificate: CInt = 60
  private static let noCertificates: CInt = 77
  /// No host, no connection, a cut or stalled one, an empty answer, errors of TLS, HTTP/2 and HTTP/3 on the way.
  private static let passing: Set<CInt> = [5, 6, 7, 16, 18, 28, 35, 52, 55, 56, 92, 95]

  var isComplete: Bool { code == 0 }
  /// Whether our own function ended it.
  var wasStopped: Bool { code == CurlOutcome.writeError || code == CurlOutcome.aborted }
  /// Whether it may go well the next time.
  var isPassing: Bool { CurlOutcome.passing.contains(code) }

  /// What may be done about an error that does not pass.
  var advice: String {
    switch code {
    case CurlOutcome.tooManyRedirects: "The address leads in a circle: choose another --mirror."
    case CurlOutcome.unknownCertificate, CurlOutcome.noCertificates:
      "Install ca-certificates, or the certificate of your proxy (SSL_CERT_FILE names a file of them)."
    default: "Check the address and the proxy settings (https_proxy)."
    }
  }
}
