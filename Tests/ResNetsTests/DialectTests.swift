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
      let dilation: [Bool]?
    }
    /// Another network in the same file.
    struct Other: Decodable {
      let key: String?
      let prefix: String
      let output: String
    }
    /// The real network, whose names and shapes stand in keys.txt.
    struct Full: Decodable {
      let architecture: Network
      let classes: Int?
    }
    let file: String
    let key: String?
    let prefix: String
    let dialect: String
    let architecture: Network
    let classes: Int?
    let left_out: [String]
    let output: String
    let others: [Other]?
    let full: Full
  }

  static let layouts = Fixtures.folders("dialects")

  private func expectation(_ layout: String) throws -> Expectation {
    let data = try Data(contentsOf: URL(filePath: Fixtures.path("dialects/\(layout)/expected.json")))
    return try JSONDecoder().decode(Expectation.self, from: data)
  }

  private func checkpoint(_ layout: String) throws -> Checkpoint {
    try Checkpoint(path: Fixtures.path("dialects/\(layout)/\(expectation(layout).file)"))
  }

  @Test func thereAreLayoutsOfManyProjects() { #expect(DialectTests.layouts.count >= 24) }

  @Test(arguments: layouts) func layoutsAreRecognisedAndGiveTheSameNumbers(_ layout: String) throws {
    let expected = try expectation(layout)
    let recognition = try checkpoint(layout).recognition()
    #expect(recognition.mapping.prefix == expected.prefix)
    #expect(recognition.mapping.dialect == expected.dialect)
    check(recognition.architecture, expected.architecture, classes: expected.classes)
    for name in recognition.mapping.leftOut {
      #expect(expected.left_out.contains { name.hasPrefix($0) }, "\(name) was left out")
    }
    for prefix in expected.left_out {
      #expect(recognition.mapping.leftOut.contains { $0.hasPrefix(prefix) }, "\(prefix) was not left out")
    }

    try compare(recognition, layout, expected.output)
  }

  private func check(_ actual: Architecture, _ expected: Expectation.Network, classes: Int?) {
    #expect(Set(actual.blocks.map(\.rawValue)) == [expected.block])
    #expect(actual.layers == expected.layers)
    #expect(actual.stridePlacement.rawValue == expected.stride ?? "second")
    let dilated = (expected.dilation ?? []).enumerated().compactMap { $0.element ? $0.offset + 2 : nil }
    #expect(actual.dilatedStages.sorted() == dilated)
    #expect(actual.classes == classes)
  }

  /// Holds the network's output against PyTorch's: `logits.npy`, or the output of the module that the file is named by.
  private func compare(_ recognition: Recognition, _ layout: String, _ output: String) throws {
    let model = try ResNet(recognition)
    let input = try Tensor(npy: Fixtures.path("dialects/\(layout)/input.npy"))
    let path = String(output.prefix { $0 != "." && $0 != "-" })
    let actual = path == "logits" ? try model(input) : try model.outputs(input, at: [path])[0]
    let reference = try Tensor(npy: Fixtures.path("dialects/\(layout)/\(output)"))
    #expect(actual.shape == reference.shape)
    let difference = try difference(actual.floats(), reference.floats(), tolerance: 1e-5)
    #expect(difference == nil, "\(output): \(difference ?? "")")
  }

  @Test(arguments: layouts) func otherNetworksInTheFileCanBeAskedFor(_ layout: String) throws {
    let expected = try expectation(layout)
    for other in expected.others ?? [] {
      var hints = Hints()
      // Another prefix in the same state dict is asked for by a rule, another state dict by its key.
      if other.key == expected.key { hints.map = try KeyMap(parsing: "\(other.prefix){*} = {*}") }
      let recognition = try checkpoint(layout).recognition(key: other.key, hints: hints)
      #expect(
        recognition.mapping.prefix == (other.key == expected.key ? "" : other.prefix), "\(other.key ?? "")")
      try compare(recognition, layout, other.output)
    }
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
      #expect(dialect.ours(theirs.name)?.name == entry.to, "\(theirs.name)")
    }
  }

  /// Names and shapes of the real networks at full size, from a list: no numbers are needed to recognise them.
  private func keys(_ layout: String) throws -> StateDict {
    let text = try String(contentsOfFile: Fixtures.path("dialects/\(layout)/keys.txt"), encoding: .utf8)
    let zero = Storage(Bytes([UInt8](repeating: 0, count: 8)))
    var stateDict = StateDict()
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let columns = line.split(separator: "\t", omittingEmptySubsequences: false)
      let shape = columns[1].split(separator: ",").compactMap { Int($0) }
      try stateDict.append(
        String(columns[0]),
        Tensor(dtype: .float32, shape: shape, strides: shape.map { _ in 0 }, storage: zero))
    }
    return stateDict
  }

  @Test(arguments: layouts) func realNetworksAreMappedCompletely(_ layout: String) throws {
    let recognition = try Recognition(keys(layout))
    let expected = try expectation(layout)
    check(recognition.architecture, expected.full.architecture, classes: expected.full.classes)
    #expect(recognition.mapping.prefix == expected.prefix && recognition.mapping.dialect == expected.dialect)
    // Every parameter that can't be absent is there, and has the shape that it must have.
    let schema = ResNet(recognition.architecture).parameters
    for parameter in schema where !parameter.isOptional {
      #expect(recognition.stateDict[parameter.name]?.shape == parameter.shape, "\(parameter.name)")
    }
    let known = Set(schema.map(\.name))
    for entry in recognition.mapping.entries { #expect(known.contains(entry.to), "\(entry.from)") }
  }

  @Test func everyDialectsRulesCanBeRead() throws {
    let folder = Fixtures.root.deletingLastPathComponent().appending(path: "Sources/ResNets/Dialects")
    let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(Dialect.all.count == 1 + files.count, "torchvision's, and one for each file of rules")
    for dialect in Dialect.all { #expect(!dialect.title.isEmpty && Dialect(named: dialect.name) != nil) }
    #expect(Dialect(named: "timm")?.name == "torchvision")
    #expect(Dialect(named: "klingon") == nil)
  }

  @Test func twoNetworksOfEqualRightAreAnError() throws {
    let architecture = try checkpoint("sequential").recognition().architecture
    var both = StateDict()
    for (seed, prefix) in ["left.", "right."].enumerated() {
      let network = ResNet(architecture, seed: UInt64(seed)).stateDict
      for (name, tensor) in network { try both.append(prefix + name, tensor) }
    }
    let error = #expect(throws: RecognitionError.self) { try Recognition(both) }
    #expect(error?.reason.contains("\"left.\" and \"right.\"") == true, "\(error?.reason ?? "")")
    var hints = Hints()
    hints.map = try KeyMap(parsing: "right.{*} = {*}")
    #expect(try Recognition(both, hints: hints).mapping.prefix == "")
  }
}
