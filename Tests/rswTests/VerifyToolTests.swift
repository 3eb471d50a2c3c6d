// rsw verify as a process: what it prints and how it ends for each kind of damage.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct VerifyToolTests {
  private let digits = Fixtures.path("digits/resnet18-digits.pth")
  private let images = Fixtures.path("digits/images.npy")

  private func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

  private func json(_ outcome: Tool.Outcome) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any])
  }

  private func changed(_ name: String, _ place: Int, to value: Float, in folder: TemporaryFolder) throws
    -> String
  {
    var stateDict = try Checkpoint(path: digits).stateDict()
    let tensor = try #require(stateDict[name])
    var values = try tensor.floats()
    values[place] = value
    stateDict.update(name, try Tensor(shape: tensor.shape, values))
    try stateDict.write(to: folder.path("changed.pth"), as: .torch)
    return folder.path("changed.pth")
  }

  @Test func aSoundFileIsToldALineForEachCheck() throws {
    let outcome = try Tool.run("verify", digits)
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
    #expect(
      outcome.output == """
        structure  122 tensors, 221.8 kB: torch zip, as its format has it
        checksums  128 records, 197.7 kB: as recorded
        values     102 tensors, 45,702 values: finite
        variances  20 norms, 300 values: none negative
        channels   40 layers, 600 values: none dead
        verified: all 5 checks hold

        """, "\(outcome.output)")
  }

  @Test func damageIsToldAndEndsWithOne() throws {
    let folder = try TemporaryFolder()
    var content = try bytes(digits)
    let wanted = try #require(Checkpoint(path: digits).stateDict()["fc.weight"]).contiguousBytes().array
    let place = try #require(content.indices.first { content[$0...].starts(with: wanted) })
    content[place + 9] ^= 1
    let outcome = try Tool.run("verify", folder.write(content, as: "a.pth"))
    #expect(outcome.status == 1 && outcome.errors.isEmpty)
    #expect(outcome.output.contains("records, 197.7 kB: 1 not as recorded\n  "), "\(outcome.output)")
    #expect(outcome.output.contains("its CRC-32 is ") && outcome.output.hasSuffix("FAILED: checksums\n"))
    let json = try json(Tool.run("verify", folder.path("a.pth"), "--json"))
    #expect(json["schema"] as? Int == 1 && json["holds"] as? Bool == false)
    let checks = try #require(json["checks"] as? [[String: Any]])
    #expect(checks.filter { $0["holds"] as? Bool == false }.map { $0["check"] as? String } == ["checksums"])
    let findings = try #require(checks[1]["findings"] as? [[String: Any]])
    #expect(findings.count == 1 && findings[0]["severity"] as? String == "failure")
  }

  @Test(arguments: [
    (
      "conv1.weight", 7, Float.nan, "conv1.weight [0, 0, 1, 0] is NaN (1 NaN and 0 infinities in all)",
      "values"
    ),
    ("fc.bias", 3, -Float.infinity, "fc.bias [3] is -inf (0 NaN and 1 infinities in all)", "values"),
    (
      "layer1.0.bn1.running_var", 2, -0.5,
      "layer1.0.bn1.running_var [2] is -0.5, and no variance is negative (1 of 4)", "variances"
    ),
  ])
  func badValuesAreToldWithTheirPlace(
    _ name: String, _ place: Int, _ value: Float, _ line: String, _ check: String
  ) throws {
    let folder = try TemporaryFolder()
    let outcome = try Tool.run("verify", changed(name, place, to: value, in: folder))
    #expect(outcome.status == 1 && outcome.output.contains("\n  \(line)\n"), "\(outcome.output)")
    #expect(outcome.output.hasSuffix("FAILED: \(check)\n"))
  }

  @Test func deadChannelsAreRemarksAndNoFailure() throws {
    let folder = try TemporaryFolder()
    let outcome = try Tool.run("verify", changed("layer1.0.bn2.weight", 1, to: 0, in: folder))
    #expect(outcome.status == 0, "\(outcome.output)")
    #expect(outcome.output.contains("\n  remark: layer1.0.bn2.weight [1] is 0, "), "\(outcome.output)")
  }

  @Test func longListsAreCutInTextOnly() throws {
    let folder = try TemporaryFolder()
    var stateDict = StateDict()
    for index in 0..<30 { try stateDict.append("t\(index)", Tensor(shape: [1], [.nan])) }
    try stateDict.write(to: folder.path("a.safetensors"), as: .safetensors)
    let outcome = try Tool.run("verify", folder.path("a.safetensors"))
    #expect(outcome.status == 1 && outcome.output.contains("  … and 20 more (--json lists all)\n"))
    #expect(outcome.output.contains("checksums  0 records, 0 bytes: none, as safetensors records none"))
    let checks =
      try json(Tool.run("verify", folder.path("a.safetensors"), "--json"))["checks"] as? [[String: Any]]
    #expect((checks?.last?["findings"] as? [Any])?.count == 30)
  }

  @Test func theNameMustHaveTheDigest() throws {
    let folder = try TemporaryFolder()
    let wrong = try Tool.run("verify", folder.write(bytes(digits), as: "resnet18-0123abcd.pth"))
    #expect(wrong.status == 1 && wrong.output.hasSuffix("FAILED: name\n"), "\(wrong.output)")
    let digest = SHA256.digest(of: Bytes(try bytes(digits))).prefix(8)
    let right = try Tool.run("verify", folder.write(bytes(digits), as: "resnet18-\(digest).pth"))
    #expect(right.status == 0 && right.output.contains("SHA-256 begins with \(digest), as the name has it"))
  }

  @Test func convertedFilesAreHeldAgainstTheirSource() throws {
    let folder = try TemporaryFolder()
    #expect(try Tool.run("convert", digits, folder.path("d.rsw")).status == 0)
    let same = try Tool.run("verify", folder.path("d.rsw"), "--source", digits)
    #expect(
      same.status == 0 && same.output.contains("source     122 tensors, 183.0 kB: byte for byte"),
      "\(same.output)")
    let other = try Tool.run(
      "verify", folder.path("d.rsw"), "--source", changed("fc.bias", 3, to: 0.25, in: folder))
    #expect(other.status == 1 && other.output.contains("\n  fc.bias has other bytes than the source's\n"))
    #expect(
      other.output.contains("remark: the source was called resnet18-digits.pth when"), "\(other.output)")
    let missing = try Tool.run("verify", folder.path("d.rsw"), "--source", folder.path("none.pth"))
    #expect(missing.status == 66)
  }

  @Test(arguments: Fixtures.folders("dialects"))
  func everyDialectsConversionHasItsSourcesBytes(_ name: String) throws {
    let folder = try TemporaryFolder()
    let directory = Fixtures.path("dialects/\(name)")
    let file = try #require(
      FileManager.default.contentsOfDirectory(atPath: directory).sorted().first { $0.hasPrefix("model") })
    let source = directory + "/" + file
    // Some have to be told more; what is converted with it is checked elsewhere.
    guard try Tool.run("convert", source, folder.path("a.rsw")).status == 0 else { return }
    let outcome = try Tool.run("verify", folder.path("a.rsw"), "--source", source)
    #expect(outcome.status == 0, "\(outcome.output) \(outcome.errors)")
  }

  @Test func resultsAreHeldAgainstOthers() throws {
    let folder = try TemporaryFolder()
    let logits = folder.path("y.npy")
    #expect(try Tool.run("run", digits, "--input", images, "--output", logits, "--strict").status == 0)
    let same = try Tool.run("verify", digits, "--input", images, "--against", logits)
    #expect(same.status == 0, "\(same.output)")
    #expect(
      same.output.contains(
        "outputs    1,000 values: error at most 0 at [0, 0], 0 of the largest value; cosine"))
    #expect(same.output.contains("same class in 100 of 100\n"))

    let tensor = try Tensor(npy: logits)
    var values = try tensor.floats()
    let scale = values.reduce(0) { max($0, abs($1)) }
    values[123] += scale / 1000
    try Tensor(shape: tensor.shape, values).writeNPY(to: folder.path("z.npy"))
    let off = try Tool.run("verify", digits, "--input", images, "--against", folder.path("z.npy"), "--json")
    #expect(off.status == 1)
    let comparison = try #require(json(off)["comparison"] as? [String: Any])
    #expect(comparison["index"] as? [Int] == [12, 3] && comparison["tolerance"] as? Double == 1e-5)
    #expect(abs(try #require(comparison["max_rel"] as? Double) - 1e-3) < 1e-5)
    let lax = try Tool.run(
      "verify", digits, "--input", images, "--against", folder.path("z.npy"), "--tolerance", "0.002")
    #expect(lax.status == 0)
  }

  @Test func outputsOfModulesAreHeldAgainstOthers() throws {
    let folder = try TemporaryFolder()
    let features = folder.path("f.npy")
    #expect(
      try Tool.run("run", digits, "--input", images, "--at", "layer3.0", "--output", features).status == 0)
    let same = try Tool.run("verify", digits, "--input", images, "--against", features, "--at", "layer3.0")
    #expect(same.status == 0 && !same.output.contains("same class"), "\(same.output)")
    let other = try Tool.run("verify", digits, "--input", images, "--against", features)
    #expect(
      other.status == 1 && other.output.contains("the model gives shape [100, 10], not ["), "\(other.output)")
    let unknown = try Tool.run("verify", digits, "--input", images, "--against", features, "--at", "layer9")
    #expect(unknown.status == 65 && unknown.errors.contains("no module \"layer9\""))
  }

  @Test(
    arguments: [
      (["verify", "bad/truncated.pth"], 65, "Get the file again"),
      (["verify", "no-such-file.pth"], 66, "No such file"),
      (["verify", "digits/resnet18-digits.pth", "--input", "digits/images.npy"], 64, "--against"),
      (["verify", "digits/resnet18-digits.pth", "--at", "layer1"], 64, "--at"),
      (
        [
          "verify", "reading/zip-stored.pth", "--input", "digits/images.npy", "--against",
          "digits/images.npy",
        ], 65,
        "no ResNet"
      ),
    ] as [([String], Int32, String)])
  func badArgumentsAndFilesHaveTheirExitCodes(_ arguments: [String], _ status: Int32, _ words: String) throws
  {
    let resolved = arguments.map { $0.contains("/") || $0.contains(".") ? Fixtures.path($0) : $0 }
    let outcome = try Tool.run(resolved)
    #expect(outcome.status == status && outcome.errors.contains(words), "\(outcome.status) \(outcome.errors)")
    #expect(outcome.output.isEmpty)
  }
}
