// Networks in the names, nesting and axes of other projects give what torchvision's network with the same numbers
// gives, without being told what they are; and their names can be written again.

import Foundation
import ResNets
import TestSupport
import Testing

@Suite struct DialectTests {
  /// What a layout of Fixtures/dialects is.
  struct Expectation: Decodable {
    struct Network: Decodable {
      let block: String
      let layers: [Int]
      let stride: String?
      let dilated: [Int]?
    }
    let prefix: String
    let dialect: String
    let architecture: Network
    let classes: Int?
    let left_out: [String]
    let output: String
  }

  static let layouts = Fixtures.folders("dialects")

  private func expectation(_ layout: String) throws -> Expectation {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("dialects/\(layout)/expected.json")))
    return try JSONDecoder().decode(Expectation.self, from: data)
  }

  private func checkpoint(_ layout: String) throws -> Checkpoint {
    let folder = Fixtures.path("dialects/\(layout)")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder)
    let name = try #require(names.first { $0.hasPrefix("model.") })
    return try Checkpoint(path: folder + "/" + name)
  }

  @Test func thereAreLayoutsOfAtLeastTwentyProjects() { #expect(DialectTests.layouts.count >= 20) }

  @Test(arguments: layouts) func layoutsAreRecognisedAndGiveTheSameNumbers(_ layout: String) throws {
    let expected = try expectation(layout)
    let recognition = try checkpoint(layout).recognition()
    let architecture = recognition.architecture
    #expect(recognition.mapping.prefix == expected.prefix)
    #expect(recognition.mapping.dialect == expected.dialect)
    #expect(Set(architecture.blocks.map(\.rawValue)) == [expected.architecture.block])
    #expect(architecture.layers == expected.architecture.layers)
    #expect(architecture.stridePlacement.rawValue == expected.architecture.stride ?? "second")
    #expect(architecture.dilatedStages.sorted() == expected.architecture.dilated ?? [])
    #expect(architecture.classes == expected.classes)
    for name in recognition.mapping.leftOut {
      #expect(expected.left_out.contains { name.hasPrefix($0) }, "\(name) was left out")
    }
    for prefix in expected.left_out {
      #expect(recognition.mapping.leftOut.contains { $0.hasPrefix(prefix) }, "\(prefix) was not left out")
    }

    let model = try ResNet(recognition)
    let input = try Tensor(npy: Fixtures.path("dialects/\(layout)/input.npy"))
    let path = String(expected.output.dropLast(".npy".count))
    let actual = path == "logits" ? try model(input) : try model.outputs(input, at: [path])[0]
    let reference = try Tensor(npy: Fixtures.path("dialects/\(layout)/\(expected.output)"))
    #expect(actual.shape == reference.shape)
    let difference = try difference(actual.floats(), reference.floats(), tolerance: 1e-5)
    #expect(difference == nil, "\(difference ?? "")")
  }

  @Test(arguments: layouts) func loadingByThePlainCallGivesTheSame(_ layout: String) throws {
    let stateDict = try checkpoint(layout).resNetStateDict()
    let recognition = try Recognition(stateDict)
    var model = ResNet(recognition.architecture)
    let report = try model.load(stateDict, strict: false)
    #expect(report.missing.allSatisfy { $0.key.contains("running_") }, "\(report)")
    #expect(report.unexpected.isEmpty && report.mismatched.isEmpty, "\(report)")
    for name in report.loaded {
      #expect(try model.stateDict[name]?.contiguousBytes() == recognition.stateDict[name]?.contiguousBytes())
    }
  }

  @Test(arguments: layouts) func namesAreWrittenAsTheyWere(_ layout: String) throws {
    let recognition = try checkpoint(layout).recognition()
    let dialect = try #require(Dialect(named: recognition.mapping.dialect))
    for entry in recognition.mapping.entries {
      let theirs = try #require(dialect.theirs(entry.to), "\(entry.to)")
      #expect(theirs.axes == entry.axes)
      // One of several spellings may be written, but it must mean the same.
      #expect(dialect.ours(theirs.name[...])?.name == entry.to, "\(theirs.name)")
    }
  }

  /// Names and shapes of the real networks at full size, from a list: no numbers are needed to recognise them.
  private func keys(_ layout: String) throws -> StateDict? {
    let path = Fixtures.path("dialects/\(layout)/keys.txt")
    guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
    let zero = Storage(Bytes([UInt8](repeating: 0, count: 8)))
    var stateDict = StateDict()
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let columns = line.split(separator: "\t", omittingEmptySubsequences: false)
      let shape = try JSONDecoder().decode([Int].self, from: Data(columns[1].utf8))
      try stateDict.append(
        String(columns[0]),
        Tensor(dtype: .float32, shape: shape, strides: shape.map { _ in 0 }, storage: zero))
    }
    return stateDict
  }

  @Test func realNetworksAreMappedCompletely() throws {
    var count = 0
    for layout in DialectTests.layouts {
      guard let stateDict = try keys(layout) else { continue }
      count += 1
      let recognition = try Recognition(stateDict)
      #expect(recognition.architecture.variantName?.contains("resne") == true, "\(layout)")
      // Every parameter that can't be absent is there, and has the shape that it must have.
      let schema = ResNet(recognition.architecture).parameters
      for parameter in schema where !parameter.isOptional {
        #expect(recognition.stateDict[parameter.name]?.shape == parameter.shape, "\(layout): \(parameter.name)")
      }
      let known = Set(schema.map(\.name))
      for entry in recognition.mapping.entries { #expect(known.contains(entry.to), "\(layout): \(entry.from)") }
    }
    #expect(count >= 10)
  }

  @Test func everyDialectsRulesCanBeRead() {
    #expect(Dialect.all.count == 12)
    for dialect in Dialect.all { #expect(!dialect.title.isEmpty && Dialect(named: dialect.name) != nil) }
    #expect(Dialect(named: "timm")?.name == "torchvision")
    #expect(Dialect(named: "klingon") == nil)
  }

  @Test func twoNetworksOfEqualRightAreAnError() throws {
    let trained = try checkpoint("sequential").recognition()
    var both = StateDict()
    for prefix in ["left.", "right."] {
      for (name, tensor) in trained.stateDict { try both.append(prefix + name, tensor) }
    }
    let error = #expect(throws: RecognitionError.self) { try Recognition(both) }
    #expect(error?.reason.contains("\"left.\" and \"right.\"") == true, "\(error?.reason ?? "")")
    var hints = Hints()
    hints.map = try KeyMap(parsing: "right.{*} = {*}")
    #expect(try Recognition(both, hints: hints).mapping.prefix == "")
  }
}
