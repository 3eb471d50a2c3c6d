// Downloads from servers with faults.

import Foundation
import Pretrained
import TestSupport
import Testing

@Suite struct DownloadTests {
  private let content = Served.bytes

  /// The whole text of an error, but for what libcurl or the disk says between `start` and `end`.
  private func expect(_ error: FetchError, _ start: String, _ end: String) {
    #expect(error.description.hasPrefix(start) && error.description.hasSuffix(end), "\(error)")
  }

  @Test func aFileIsDownloadedOnceAndCalledAsPyTorchCallsIt() throws {
    let server = try FaultyServer { $1.file(Served.bytes, $0) }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    var seen: [DownloadProgress] = []
    #expect(try cache.bytes(weights) { seen.append($0) } == content)
    #expect(try cache.bytes(weights) == content)
    #expect(server.requests.map(\.target) == ["/models/\(weights.fileName)"])
    #expect(cache.names == [weights.fileName])
    #expect(seen.last?.phase == .checking)
    #expect(seen.contains { $0.phase == .downloading && $0.total == content.count })
    #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.bytes <= $1.bytes })
  }

  @Test func aCutConnectionIsContinued() throws {
    let server = try FaultyServer { $1.file(Served.bytes, $0, upTo: $0.index < 3 ? 50_000 : .max) }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    var reasons: [DownloadProgress.Phase] = []
    let bytes = try cache.bytes(weights) { progress in
      if case .retrying = progress.phase { reasons.append(progress.phase) }
    }
    #expect(bytes == content)
    #expect(server.requests.map(\.rangeStart) == [nil, 50_000, 100_000, 150_000])
    #expect(server.requests.last?.fields["if-range"] == "\"1\"")
    #expect(reasons.count == 3)
  }

  @Test func aServerThatBreaksEveryTimeIsGivenUpAndItsBytesAreKept() throws {
    let server = try FaultyServer { request, connection in
      connection.file(Served.bytes, request, upTo: request.index == 0 ? 70_000 : 0)
    }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    let error = try #require(cache.error(weights))
    #expect(error.code == .network)
    expect(
      error, "\(weights.url) can't be downloaded: ",
      ". 70000 bytes are kept, and the next attempt goes on from there. "
        + "Check the connection and the proxy settings.")
    #expect(server.requests.count == cache.cache.patience.mostFailures)
    #expect(cache.names == [weights.fileName + ".partial"])

    let healthy = try FaultyServer { $1.file(Served.bytes, $0) }
    #expect(try cache.bytes(Served.weights(healthy)) == content)
    #expect(healthy.requests.map(\.rangeStart) == [70_000])
    #expect(cache.names == [weights.fileName])
  }

  @Test func otherBytesThanThePublishedAreRefused() throws {
    let server = try FaultyServer { $1.file([1, 2, 3], $0) }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    let error = try #require(cache.error(weights))
    #expect(error.code == .wrongContent)
    #expect(
      error.description == "what \(weights.url) gave is not the file that was published: "
        + "its SHA-256 begins with 039058c6 (3 bytes). Try again, or another --mirror.")
    #expect(server.requests.count == 1)
    #expect(cache.names == [])
  }

  @Test func theRestOfAnotherFileIsDownloadedAgain() throws {
    let server = try FaultyServer { $1.file(Served.bytes, $0) }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    try cache.write([UInt8](repeating: 7, count: 1000), as: weights.fileName + ".partial")
    #expect(try cache.bytes(weights) == content)
    #expect(server.requests.map(\.rangeStart) == [1000, nil])
  }

  @Test(arguments: [200_000, 300_000])
  func aPartThatLeavesNothingToSendIsCompleteOrBegunAgain(count: Int) throws {
    let server = try FaultyServer { $1.file(Served.bytes, $0) }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    try cache.write(
      content + [UInt8](repeating: 0, count: count - 200_000), as: weights.fileName + ".partial")
    #expect(
      try cache.reasons(weights) == (count == 200_000 ? [] : ["the server has no such part of the file"]))
    #expect(try cache.bytes(weights) == content)
    #expect(server.requests.map(\.rangeStart) == (count == 200_000 ? [count] : [count, nil]))
  }

  @Test func aServerWithoutRangesSendsAllAgain() throws {
    let server = try FaultyServer { request, connection in
      connection.head("200 OK", "Content-Length: \(Served.bytes.count)")
      connection.send(Served.bytes.prefix(request.index == 0 ? 60_000 : .max))
    }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    #expect(try cache.bytes(weights) == content)
    #expect(server.requests.map(\.rangeStart) == [nil, 60_000])
  }

  @Test(arguments: [false, true]) func aFileThatChangesIsBegunAgain(sendsPart: Bool) throws {
    let server = try FaultyServer { request, connection in
      if request.index == 0 {
        connection.head("200 OK", "Content-Length: 200000", "ETag: \"old\"")
        connection.send([UInt8](repeating: 1, count: 60_000))
      } else if sendsPart, let start = request.rangeStart {
        // As servers do that don't know If-Range
        connection.head(
          "206 Partial Content", "Content-Range: bytes \(start)-199999/200000",
          "Content-Length: \(200_000 - start)", "ETag: \"new\"")
        connection.send(Served.bytes[start...])
      } else {
        connection.file(Served.bytes, request, tag: "\"new\"")
      }
    }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    #expect(try cache.bytes(weights) == content)
    #expect(server.requests.map(\.rangeStart) == (sendsPart ? [nil, 60_000, nil] : [nil, 60_000]))
  }

  @Test func anotherPartThanWasAskedForIsNotTaken() throws {
    let server = try FaultyServer { request, connection in
      if request.rangeStart != nil {
        connection.head(
          "206 Partial Content", "Content-Range: bytes 0-199999/200000", "Content-Length: 200000")
        connection.send(Served.bytes)
      } else {
        connection.file(Served.bytes, request, upTo: request.index == 0 ? 60_000 : .max)
      }
    }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    #expect(
      try cache.reasons(weights).dropFirst()
        == ["the server gave another part of the file than was asked for"])
    #expect(try cache.bytes(weights) == content)
    #expect(server.requests.map(\.rangeStart) == [nil, 60_000, nil])
  }

  @Test func aPartThatEndsEarlyIsNotTheRest() throws {
    let server = try FaultyServer { request, connection in
      guard let start = request.rangeStart, start < 100_000 else {
        connection.file(Served.bytes, request, upTo: request.index == 0 ? 60_000 : .max)
        return
      }
      connection.head(
        "206 Partial Content", "Content-Range: bytes \(start)-99999/200000",
        "Content-Length: \(100_000 - start)")
      connection.send(Served.bytes[start..<100_000])
    }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    #expect(try cache.reasons(weights).dropFirst() == ["only 100000 of 200000 bytes came"])
    #expect(try cache.bytes(weights) == content)
    #expect(server.requests.map(\.rangeStart) == [nil, 60_000, 100_000])
  }

  @Test func aSlowServerIsWaitedForAndAStalledOneAskedAgain() throws {
    let server = try FaultyServer { request, connection in
      connection.head("200 OK", "Content-Length: \(Served.bytes.count)")
      guard request.index > 0 else {
        connection.send(Served.bytes.prefix(10))
        _ = connection.isLeft(within: 8)
        return
      }
      for part in 0..<10 {
        connection.send(Served.bytes[(part * 20_000)..<((part + 1) * 20_000)])
        connection.wait(0.05)
      }
    }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    #expect(try cache.bytes(weights) == content)
    #expect(server.requests.count == 2)
  }

  @Test func redirectsAreFollowedButNotInACircle() throws {
    let server = try FaultyServer { request, connection in
      if request.target.hasPrefix("/models/") {
        connection.head("302 Found", "Location: /elsewhere", "Content-Length: 0")
      } else {
        connection.file(Served.bytes, request)
      }
    }
    #expect(try TestCache().bytes(Served.weights(server)) == content)
    let circle = try FaultyServer {
      $1.head("302 Found", "Location: /models/\($0.index)", "Content-Length: 0")
    }
    let cache = try TestCache()
    let error = try #require(cache.error(Served.weights(circle)))
    #expect(error.code == .network)
    expect(
      error, "\(Served.weights(circle).url) can't be downloaded: ",
      ". The address leads in a circle: choose another --mirror.")
    #expect(circle.requests.count == 11)
    #expect(cache.names == [])
  }

  @Test func redirectsLeadToNoFileOfThisMachine() throws {
    let server = try FaultyServer { $1.head("302 Found", "Location: file:///etc/hosts", "Content-Length: 0") }
    let error = try #require(TestCache().error(Served.weights(server)))
    #expect(error.code == .network)
    expect(
      error, "\(Served.weights(server).url) can't be downloaded: ",
      ". Check the address and the proxy settings (https_proxy).")
  }

  @Test(arguments: [
    ("404 Not Found", "does not exist (status 404): check the name and the mirror."),
    ("410 Gone", "does not exist (status 410): check the name and the mirror."),
    (
      "403 Forbidden",
      "is not given to everyone (status 403): check the proxy, or choose another --mirror."
    ),
    ("204 No Content", "was answered with status 204: check the address and the mirror."),
    ("304 Not Modified", "was answered with status 304: check the address and the mirror."),
  ])
  func aRefusalIsToldAtOnce(status: String, text: String) throws {
    let server = try FaultyServer {
      $1.head(status, "Content-Length: \(status.hasPrefix("4") ? 12 : 0)")
      if status.hasPrefix("4") { $1.send("what is that".utf8) }
    }
    let cache = try TestCache()
    let error = try #require(cache.error(Served.weights(server)))
    #expect(error.code == .refused)
    #expect(error.description == "\(Served.weights(server).url) \(text)")
    #expect(server.requests.count == 1)
    #expect(cache.names == [])
  }

  @Test(arguments: ["503 Service Unavailable", "500 Internal Server Error", "429 Too Many Requests"])
  func aBusyServerIsAskedAgain(status: String) throws {
    let server = try FaultyServer { request, connection in
      if request.index == 0 {
        connection.head(status, "Retry-After: 0", "Content-Length: 4")
        connection.send("busy".utf8)
      } else {
        connection.file(Served.bytes, request)
      }
    }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    #expect(
      try cache.reasons(weights) == ["the server answered with status \(status.prefix(3))"])
    #expect(try cache.bytes(weights) == content)
  }

  @Test func aServerThatIsAlwaysBusyIsGivenUp() throws {
    let server = try FaultyServer { $1.head("503 Service Unavailable", "Content-Length: 0") }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    #expect(
      cache.error(weights)?.description
        == "\(weights.url) can't be downloaded: the server answered with status 503. "
        + "Check the connection and the proxy settings.")
  }

  @Test func anAnnouncedLengthThatIsTooLongIsNoReasonToFail() throws {
    let server = try FaultyServer { request, connection in
      if let start = request.rangeStart, start >= 200_000 {
        connection.head("416 Range Not Satisfiable", "Content-Length: 0")
      } else {
        connection.head("200 OK", "Content-Length: 250000")
        connection.send(Served.bytes)
      }
    }
    #expect(try TestCache().bytes(Served.weights(server)) == content)
  }

  @Test func anAnnouncedLengthThatIsTooShortGivesAnotherFile() throws {
    let server = try FaultyServer { _, connection in
      connection.head("200 OK", "Content-Length: 150000")
      connection.send(Served.bytes)
    }
    let error = try #require(TestCache().error(Served.weights(server)))
    #expect(error.code == .wrongContent)
    #expect(error.description.contains("(150000 bytes)"), "\(error)")
  }

  @Test(arguments: ["text/html; charset=utf-8", "application/octet-stream"])
  func aWebPageIsNamed(type: String) throws {
    let server = try FaultyServer { _, connection in
      let page = "\n<!DOCTYPE html><html><body>Please log in</body></html>"
      connection.head("200 OK", "Content-Type: \(type)", "Content-Length: \(page.utf8.count)")
      connection.send(page.utf8)
    }
    let cache = try TestCache()
    let error = try #require(cache.error(Served.weights(server)))
    #expect(error.code == .wrongContent)
    #expect(
      error.description == "\(Served.weights(server).url) gave a web page in place of the file: "
        + "log in to the network if it asks for that, or choose another --mirror.")
    #expect(cache.names == [])
  }

  @Test(arguments: [true, false]) func moreThanThePublishedSizeIsRefused(isAnnounced: Bool) throws {
    let server = try FaultyServer { _, connection in
      if isAnnounced {
        connection.head("200 OK", "Content-Length: 90000000000")
      } else {
        connection.head("200 OK")
      }
      // Ends when the client has gone.
      for _ in 0..<200 where !connection.isLeft(within: 0) { connection.send(Served.bytes) }
    }
    let weights = Served(content, at: server.url, byteCount: content.count).weights
    let cache = try TestCache()
    let error = try #require(cache.error(weights))
    #expect(error.code == .wrongContent)
    #expect(
      error.description == "\(weights.url) gives \(isAnnounced ? "90000000000" : "more than 1210000") bytes, "
        + "where \(weights.fileName) has about 200000: choose another --mirror.")
    #expect(cache.names == [])
  }

  @Test func moreThanAnyWeightsHaveIsRefused() throws {
    let server = try FaultyServer { _, connection in
      connection.head("200 OK", "Content-Length: 5000000000")
      connection.send(Served.bytes)
    }
    let weights = Served.weights(server)
    #expect(
      try TestCache().error(weights)?.description
        == "\(weights.url) gives 5000000000 bytes, where \(weights.fileName) has far fewer: "
        + "choose another --mirror.")
  }

  @Test func whatTheDiskHasNoRoomForIsNotBegun() throws {
    let server = try FaultyServer { _, connection in
      connection.head("200 OK", "Content-Length: 4000000000000000")
      connection.send(Served.bytes)
    }
    let weights = Served(content, at: server.url, byteCount: 4_000_000_000_000_000).weights
    let cache = try TestCache()
    let error = try #require(cache.error(weights))
    #expect(error.code == .cannotWrite)
    expect(
      error, "there is room for ",
      " bytes in \(try cache.cache.path(of: weights)), and 4000000000000000 are needed: "
        + "make room, or set TORCH_HOME to another folder.")
    #expect(cache.names == [])
  }

  @Test func nobodyListening() throws {
    let server = try FaultyServer { _, _ in }
    let url = server.url
    let cache = try TestCache { $0.patience.mostFailures = 2 }
    // (Answers nothing at all.)
    #expect(cache.error(Served(content, at: url).weights)?.code == .network)
    let error = try #require(cache.error(Served(content, at: "http://127.0.0.1:1").weights))
    #expect(error.code == .network)
    expect(
      error, "http://127.0.0.1:1/models/\(Served(content, at: url).weights.fileName) can't be downloaded: ",
      ". Check the connection and the proxy settings.")
  }

  @Test func aCancelledTaskEndsItsDownload() async throws {
    let server = try FaultyServer { request, connection in
      connection.head("200 OK", "Content-Length: \(Served.bytes.count)")
      connection.send(Served.bytes.prefix(100_000))
      if request.index == 0 { _ = connection.isLeft(within: 8) }
    }
    let (cache, weights) = (try TestCache { $0.patience.stallSeconds = 30 }, Served.weights(server))
    let task = Task.detached { cache.error(weights) }
    while server.requests.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
    task.cancel()
    let error = await task.value
    #expect(error?.code == .cancelled)
    #expect(error?.description == "the download of \(weights.url) was cancelled.")
    #expect(!cache.cache.contains(weights))
  }
}
