// An HTTP server on this machine that does what a test tells it to, faults included.

import Foundation

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

#if os(Linux)
  private let streamSocket = CInt(SOCK_STREAM.rawValue)
  /// No signal when the client has gone
  private let noSignal = CInt(MSG_NOSIGNAL)
#else
  private let streamSocket = SOCK_STREAM
  private let noSignal: CInt = 0
#endif

/// A server on a free port of the loopback interface. Each connection has one request, which `answer` answers on a
/// thread of its own.
public final class FaultyServer: Sendable {
  public struct Request: Sendable {
    /// What stands behind GET: a path, or a whole URL where the server is taken for a proxy.
    public let target: String
    /// The fields by their names in small letters.
    public let fields: [String: String]
    /// How many requests came before.
    public let index: Int

    /// The first byte that is asked for.
    public var rangeStart: Int? {
      fields["range"].flatMap { $0.hasPrefix("bytes=") ? Int($0.dropFirst(6).prefix { $0 != "-" }) : nil }
    }
  }

  /// A connection whose request was read.
  public struct Connection: Sendable {
    fileprivate let descriptor: CInt

    public func send(_ bytes: some Sequence<UInt8>) {
      let bytes = Array(bytes)
      var sent = 0
      while sent < bytes.count {
        let result = bytes.withUnsafeBytes {
          systemSend(
            descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent, noSignal)
        }
        guard result > 0 else { return }
        sent += result
      }
    }

    /// Sends a header; `fields` are lines such as `ETag: "1"`.
    public func head(_ status: String, _ fields: String...) {
      let lines = ["HTTP/1.1 \(status)"] + fields + ["Connection: close", "", ""]
      send(lines.joined(separator: "\r\n").utf8)
    }

    /// Sends a file, or the part of it that is asked for.
    public func file(_ content: [UInt8], _ request: Request, tag: String = "\"1\"", upTo most: Int = .max) {
      if let start = request.rangeStart, request.fields["if-range"].map({ $0 == tag }) ?? true {
        guard start < content.count else {
          head("416 Range Not Satisfiable", "Content-Range: bytes */\(content.count)", "Content-Length: 0")
          return
        }
        head(
          "206 Partial Content", "Content-Range: bytes \(start)-\(content.count - 1)/\(content.count)",
          "Content-Length: \(content.count - start)", "ETag: \(tag)")
        send(content[start...].prefix(most))
      } else {
        head("200 OK", "Content-Length: \(content.count)", "ETag: \(tag)")
        send(content.prefix(most))
      }
    }

    public func wait(_ seconds: Double) { usleep(UInt32(seconds * 1e6)) }

    /// Whether the client has gone within `seconds`.
    public func isLeft(within seconds: Double) -> Bool {
      var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      return poll(&watched, 1, CInt(seconds * 1000)) > 0
    }
  }

  public let port: UInt16
  private let listener: CInt
  private let log = Log()

  /// What was asked for until now.
  public var requests: [Request] { log.requests }
  /// Where the server is, without a slash at the end.
  public var url: String { "http://127.0.0.1:\(port)" }

  public init(_ answer: @escaping @Sendable (Request, Connection) -> Void) throws {
    listener = socket(AF_INET, streamSocket, 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let (listener, log) = (listener, log)
    let isListening = withUnsafeMutablePointer(to: &address) { address in
      address.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 16) == 0
          && getsockname(listener, $0, &length) == 0
      }
    }
    guard isListening else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread {
      while true {
        let descriptor = accept(listener, nil, nil)
        guard descriptor >= 0 else { return }
        Thread.detachNewThread {
          if let request = FaultyServer.read(descriptor, log) {
            answer(request, Connection(descriptor: descriptor))
          }
          shutdown(descriptor, CInt(SHUT_RDWR))
          close(descriptor)
        }
      }
    }
  }

  deinit {
    shutdown(listener, CInt(SHUT_RDWR))
    close(listener)
  }

  private static func read(_ descriptor: CInt, _ log: Log) -> Request? {
    var text: [UInt8] = []
    while !text.ends(with: "\r\n\r\n".utf8) {
      var byte: UInt8 = 0
      guard recv(descriptor, &byte, 1, 0) == 1 else { return nil }
      text.append(byte)
    }
    let lines = String(decoding: text, as: UTF8.self).components(separatedBy: "\r\n")
    let words = lines[0].split(separator: " ")
    guard words.count == 3 else { return nil }
    var fields: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      fields[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(
        in: .whitespaces)
    }
    return log.add { Request(target: String(words[1]), fields: fields, index: $0) }
  }

  private final class Log: @unchecked Sendable {
    private let lock = NSLock()
    private var entries: [Request] = []

    var requests: [Request] { lock.withLock { entries } }

    func add(_ make: (Int) -> Request) -> Request {
      lock.withLock {
        let request = make(entries.count)
        entries.append(request)
        return request
      }
    }
  }
}

extension [UInt8] {
  fileprivate func ends(with end: some Collection<UInt8>) -> Bool {
    count >= end.count && self[(count - end.count)...].elementsEqual(end)
  }
}

/// `send(2)`, which a method of the same name hides.
private func systemSend(_ descriptor: CInt, _ bytes: UnsafeRawPointer?, _ count: Int, _ flags: CInt) -> Int {
  send(descriptor, bytes, count, flags)
}
