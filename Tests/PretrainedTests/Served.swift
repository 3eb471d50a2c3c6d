// What the tests of downloads share: a file with a digest in its name, and a cache in a folder of its own.

import Checkpoints
import Foundation
import Pretrained
import TestSupport

/// A file that is published for a test.
struct Served: Sendable {
  let content: [UInt8]
  let weights: PublishedWeights

  init(_ content: [UInt8], at url: String, network: String = "test_resnet", byteCount: Int? = nil) {
    let digits = SHA256.digest(of: Bytes(content)).prefix(8)
    self.content = content
    weights = PublishedWeights(
      network, PretrainedWeights("test"), "\(url)/models/file-\(digits).pth", byteCount: byteCount)
  }

  /// Bytes that repeat nowhere, so that no part can be taken for another one.
  static let bytes: [UInt8] = {
    var state: UInt64 = 1
    return (0..<200_000).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return UInt8(truncatingIfNeeded: state >> 56)
    }
  }()

  static func weights(_ server: FaultyServer) -> PublishedWeights { Served(bytes, at: server.url).weights }
}

/// A cache in a folder that is removed with it, which does not wait long.
final class TestCache: Sendable {
  private let folder: TemporaryFolder
  let cache: WeightsCache

  init(_ change: (inout WeightsCache) -> Void = { _ in }) throws {
    // Servers on this machine are never asked by way of a proxy.
    setenv("no_proxy", "127.0.0.1", 1)
    folder = try TemporaryFolder()
    var cache = WeightsCache(folder: folder.path("hub/checkpoints"))
    cache.mirror = nil
    (cache.patience.firstPause, cache.patience.stallSeconds) = (0.01, 1)
    change(&cache)
    self.cache = cache
  }

  /// The names of all files in the cache.
  var names: [String] {
    let path = folder.path("hub/checkpoints")
    return ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }

  func write(_ bytes: [UInt8], as name: String) throws {
    try FileManager.default.createDirectory(
      atPath: folder.path("hub/checkpoints"), withIntermediateDirectories: true)
    _ = try folder.write(bytes, as: "hub/checkpoints/\(name)")
  }

  /// What is in the file that the cache gives for `weights`.
  func bytes(_ weights: PublishedWeights, progress: DownloadProgress.Handler? = nil) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(filePath: try cache.file(of: weights, progress: progress))))
  }

  /// Why attempts to get `weights` were repeated.
  func reasons(_ weights: PublishedWeights) throws -> [String] {
    var reasons: [String] = []
    _ = try cache.file(of: weights) { progress in
      if case .retrying(let reason) = progress.phase { reasons.append(reason) }
    }
    return reasons
  }

  /// The error that getting `weights` gives; nil when it gives none.
  func error(_ weights: PublishedWeights) -> FetchError? {
    do throws(FetchError) {
      _ = try cache.file(of: weights)
      return nil
    } catch {
      return error
    }
  }
}
