// What is in the cache, and two who want the same file.

import Foundation
import Pretrained
import TestSupport
import Testing

@Suite struct WeightsCacheTests {
  private let content = Served.bytes

  @Test func offlineOnlyWhatIsThereIsGiven() throws {
    let server = try FaultyServer { $1.file(Served.bytes, $0) }
    let (cache, weights) = (try TestCache { $0.isOffline = true }, Served.weights(server))
    let error = try #require(cache.error(weights))
    #expect(error.code == .notCached)
    let folder = try cache.cache.path(of: weights).dropLast(weights.fileName.count)
    #expect(
      error.description == "\(weights.fileName) is not in \(folder), and nothing may be downloaded offline. "
        + "Run 'rsw fetch test_resnet:test' online, or put the file there.")
    try cache.write(content, as: weights.fileName)
    #expect(try cache.bytes(weights) == content)
    #expect(server.requests.isEmpty)
  }

  @Test func aFileThatIsThereIsTakenAsItIsAndCheckedWhereAsked() throws {
    let server = try FaultyServer { $1.file(Served.bytes, $0) }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    try cache.write([1, 2, 3], as: weights.fileName)
    #expect(try cache.bytes(weights) == [1, 2, 3])
    #expect(
      errorText { try cache.cache.check(weights) }
        == "\(try cache.cache.path(of: weights)) is not the file that was published: "
        + "its SHA-256 begins with 039058c6. Replace it with 'rsw fetch test_resnet:test --force'.")
    _ = try cache.cache.file(of: weights, replacing: true)
    try cache.cache.check(weights)
    #expect(try cache.bytes(weights) == content)
    #expect(cache.names == [weights.fileName])
  }

  @Test func ofTwoDownloadsTheSecondWaitsForTheFirst() async throws {
    let server = try FaultyServer { request, connection in
      connection.head("200 OK", "Content-Length: \(Served.bytes.count)")
      for part in 0..<4 {
        connection.send(Served.bytes[(part * 50_000)..<((part + 1) * 50_000)])
        connection.wait(0.1)
      }
    }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    let results = await withTaskGroup(of: [UInt8]?.self) { group in
      for _ in 0..<3 { group.addTask { try? cache.bytes(weights) } }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(results.allSatisfy { $0 == content })
    #expect(server.requests.count == 1)
    #expect(cache.names == [weights.fileName])
  }

  @Test func aMirrorHasTheFilesUnderTheirNames() throws {
    let server = try FaultyServer { $1.file(Served.bytes, $0) }
    let cache = try TestCache { $0.mirror = server.url + "/mirror/" }
    let weights = Served(content, at: "http://nowhere.invalid").weights
    #expect(try cache.bytes(weights) == content)
    #expect(server.requests.map(\.target) == ["/mirror/\(weights.fileName)"])
    let wrong = try TestCache { $0.mirror = "ftp://example.org" }
    #expect(
      wrong.error(weights)?.description
        == "the mirror \"ftp://example.org\" is no URL of http or https: "
        + "name one, such as https://example.org/models.")
  }

  @Test func aFolderThatCannotBeWrittenIsNamed() throws {
    let folder = try TemporaryFolder()
    let file = try folder.write([0], as: "file")
    let cache = WeightsCache(folder: file + "/checkpoints")
    let weights = Served(content, at: "http://127.0.0.1:1").weights
    #expect(
      errorText { try cache.file(of: weights) }
        == "\(file)/checkpoints/ can't be made: Not a directory. Set TORCH_HOME to a folder that can be written."
    )
  }

  @Test func thePartMayBeNoLinkNoFolderAndNoPipe() throws {
    let server = try FaultyServer { $1.file(Served.bytes, $0) }
    let (cache, weights) = (try TestCache(), Served.weights(server))
    try cache.write([], as: "target")
    let path = try cache.cache.path(of: weights) + ".partial"
    try FileManager.default.createSymbolicLink(
      atPath: path, withDestinationPath: try cache.cache.path(of: weights))
    #expect(
      cache.error(weights)?.description
        == "\(path) can't be written: Too many levels of symbolic links. "
        + "Set TORCH_HOME to a folder that can be written.")
    try FileManager.default.removeItem(atPath: path)
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    #expect(
      cache.error(weights)?.description
        == "\(path) can't be written: Is a directory. Set TORCH_HOME to a folder that can be written.")
    try FileManager.default.removeItem(atPath: path)
    #expect(mkfifo(path, 0o600) == 0)
    #expect(cache.error(weights)?.description == "\(path) is no regular file: remove it.")
  }
}
