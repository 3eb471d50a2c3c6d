// The files under Fixtures/, which tools/make_fixtures.py makes, and what they are known to hold.

import Foundation
import Testing

public enum Fixtures {
  /// The Fixtures folder of this package.
  public static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures")

  /// The path of a fixture; the test that uses a missing one fails when it opens it.
  public static func path(_ name: String) -> String { root.appending(path: name).path }

  /// The folders of a folder of fixtures, from the script's manifest, so that none can be left out.
  public static func folders(_ name: String) -> [String] {
    guard let manifest = manifest else { return ["manifest.json is missing or damaged"] }
    let paths = manifest.files.map { $0.path.split(separator: "/") }
    return Set(paths.filter { $0.count > 2 && $0[0] == name }.map { String($0[1]) }).sorted()
  }

  /// The cases of `Fixtures/reading`, from the script's manifest, so that none can be left out.
  public static let readingCases: [String] = {
    guard let manifest = manifest else { return ["manifest.json is missing or damaged"] }
    return manifest.files.map(\.path).filter { $0.hasPrefix("reading/") && $0.hasSuffix(".json") }
      .map { String($0.dropFirst("reading/".count).dropLast(".json".count)) }
      .filter { !$0.contains("/") }.sorted()
  }()

  /// The cases of `Fixtures/bad`, from the script's manifest.
  public static let badCases = badCases(in: "bad/")

  /// The cases of `Fixtures/photos/bad`, from the script's manifest.
  public static let badPhotos = badCases(in: "photos/bad/")

  /// The names of the files in `Fixtures/photos/good`, from the script's manifest.
  public static let goodPhotos: [String] = {
    guard let manifest = manifest else { return ["manifest.json is missing or damaged"] }
    let folder = "photos/good/"
    return manifest.files.map(\.path).filter { $0.hasPrefix(folder) }.map {
      String($0.dropFirst(folder.count))
    }
  }()

  private static func badCases(in folder: String) -> [BadCase] {
    guard let manifest = manifest else {
      return [BadCase(path: "manifest.json is missing or damaged", code: "", words: "", member: nil)]
    }
    return manifest.files.compactMap { file in
      guard file.path.hasPrefix(folder), !file.recipe.hasPrefix("belongs to") else { return nil }
      return BadCase(path: file.path, code: file.code, words: file.words ?? "", member: file.member)
    }
  }

  private static let manifest: Manifest? = {
    guard let data = try? Data(contentsOf: root.appending(path: "manifest.json")) else { return nil }
    return try? JSONDecoder().decode(Manifest.self, from: data)
  }()

  /// What a reading case must give.
  public static func expectation(_ name: String) throws -> ReadingCase {
    let data = try Data(contentsOf: root.appending(path: "reading/\(name).json"))
    return try JSONDecoder().decode(ReadingCase.self, from: data)
  }

  private struct Manifest: Decodable {
    struct File: Decodable {
      let path: String
      let recipe: String
      let code: String?
      let words: String?
      let member: String?
    }
    let files: [File]
  }
}

/// A file that must be refused, and how, or that must only do no harm.
public struct BadCase: Sendable, CustomTestStringConvertible {
  public let path: String
  /// The names of the codes that may be given, with `|` between them; nil for a file that may be read.
  public let code: String?
  /// What the message must contain.
  public let words: String
  public let member: String?
  public var testDescription: String { path }
}

/// What PyTorch found in a file.
public struct ReadingCase: Decodable, Sendable {
  public struct Tensor: Decodable, Sendable {
    public let name: String
    public let dtype: String
    public let shape: [Int]
    /// These four are there for views of one storage.
    public let strides: [Int]?
    public let offset: Int?
    /// Equal for tensors that share a storage.
    public let storage: Int?
    /// The contiguous elements in hexadecimal.
    public let bytes: String?
    /// The elements as float32 in hexadecimal, in the case that converts.
    public let float32: String?
    public let quantization: Quantization?
    public let layout: String?
    public let components: [Part]?
    /// What dequantize() or to_dense() gives.
    public let dense: Part?
    /// The tensors of a nested one.
    public let parts: [Part]?
  }

  public struct Quantization: Decodable, Sendable {
    public let scale: Double?
    public let zeroPoint: Int?
    public let scales: [Double]?
    public let zeroPoints: [Double]?
    public let axis: Int?
    enum CodingKeys: String, CodingKey {
      case scale, scales, axis
      case zeroPoint = "zero_point"
      case zeroPoints = "zero_points"
    }
  }

  public struct Part: Decodable, Sendable {
    public let name: String?
    public let dtype: String
    public let shape: [Int]
    public let bytes: String
  }

  /// The file, from Fixtures/reading.
  public let file: String
  public let container: String
  public let member: String?

  public let recipe: String
  public let tensors: [Tensor]
  public let nesting: String?
  public let prefix: String?
  public let candidates: [String]?
  /// The paths of all tensors in the file, wherever they lie, in no order.
  public let all: [String]?
  /// What is said to hold tensors that are no part of the state dict.
  public let nested: [String]?
}

/// A folder that is removed with its last owner.
public final class TemporaryFolder: Sendable {
  private let url: URL

  public init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "rsw-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  public func path(_ name: String) -> String { url.appending(path: name).path }

  /// The names of all files in the folder.
  public var contents: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []).sorted()
  }

  /// Writes a file and returns its path.
  public func write(_ bytes: [UInt8], as name: String) throws -> String {
    try Data(bytes).write(to: url.appending(path: name))
    return path(name)
  }
}

/// The bytes of hexadecimal text.
public func bytes(hex: String) -> [UInt8] {
  let digits = Array(hex.utf8)
  return stride(from: 0, to: digits.count - 1, by: 2).compactMap {
    UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
  }
}
