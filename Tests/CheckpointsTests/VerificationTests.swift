// Every kind of damage is found, where it is, and nothing else is.

import Checkpoints
import Foundation
import TestSupport
import Testing

@Suite struct VerificationTests {
  private let digits = Fixtures.path("digits/resnet18-digits.pth")

  private func check(_ name: String, _ report: VerificationReport) throws -> VerificationReport.Check {
    try #require(report.checks.first { $0.name == name }, "\(report.checks.map(\.name))")
  }

  private func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

  @Test(arguments: Fixtures.readingCases)
  func filesThatAreReadHold(_ name: String) throws {
    let expected = try Fixtures.expectation(name)
    let checkpoint = try Checkpoint(path: Fixtures.path("reading/\(expected.file)"), member: expected.member)
    let report = try checkpoint.verify()
    // Some hold NaN and infinities on purpose: every class of value.
    let failed = report.checks.filter { !$0.holds && $0.name != "values" }
    #expect(failed.isEmpty, "\(failed)")
  }

  /// What is refused when such tensors are made dense, or taken apart.
  @Test(
    arguments: Fixtures.badCases.filter {
      ($0.path.hasPrefix("bad/nested-") || $0.path.hasPrefix("bad/sparse-")) && $0.code != nil
    })
  func partsThatDoNotFitTogetherAreFound(_ bad: BadCase) throws {
    let report: VerificationReport
    do { report = try Checkpoint(path: Fixtures.path(bad.path)).verify() } catch { return }
    // That a dense tensor would be too large is no fault of the sparse one.
    if bad.path.hasSuffix("size-17-terabytes.pth") { return }
    #expect(!report.holds)
  }

  @Test(arguments: ["no-weights-number.pth", "no-weights-none.pth", "not-a-state-dict.pth"])
  func filesWithoutTensorsDoNotHold(_ name: String) throws {
    let report = try Checkpoint(path: Fixtures.path("bad/\(name)")).verify()
    #expect(try !check("structure", report).holds)
  }

  @Test func callsInPicklesAreRemarks() throws {
    let structure = try check(
      "structure", Checkpoint(path: Fixtures.path("bad/call-posix-system.pth")).verify())
    #expect(structure.holds && structure.findings.contains { $0.message.contains("posix.system") })
  }

  @Test func everythingThatWasLookedAtIsCounted() throws {
    let report = try Checkpoint(path: digits).verify()
    #expect(report.holds && report.checks.map(\.name) == ["structure", "checksums", "values"])
    #expect(try check("structure", report).count == 122)
    let checksums = try check("checksums", report)
    #expect(checksums.unit == "records" && checksums.count > 122 && checksums.outcome == "as recorded")
    let values = try check("values", report)
    #expect(values.count == 102 && values.valueCount == 45_702 && values.outcome == "finite")
  }

  @Test func everyDamagedRecordIsFound() throws {
    let folder = try TemporaryFolder()
    var content = try bytes(digits)
    var names: Set<String> = []
    for name in ["conv1.weight", "layer2.0.conv1.weight"] {
      let tensor = try #require(Checkpoint(path: digits).stateDict()[name])
      let wanted = try tensor.contiguousBytes().array
      let place = try #require(content.indices.first { content[$0...].starts(with: wanted) })
      content[place + 5] ^= 1
      names.insert(tensor.storage.origin)
    }
    let report = try Checkpoint(path: folder.write(content, as: "a.pth")).verify()
    #expect(!report.holds)
    let findings = try check("checksums", report).findings
    #expect(Set(findings.compactMap(\.subject)) == names, "\(findings)")
    #expect(findings.allSatisfy { $0.message.contains("CRC-32") && $0.severity == .failure })
    #expect(try check("values", report).holds)
  }

  @Test(arguments: ["bad/wrong-crc.pth", "bad/wrong-crc-unused.pth", "bad/corrupt-deflate.pth"])
  func damagedFixturesFailTheirChecksums(_ name: String) throws {
    let report = try Checkpoint(path: Fixtures.path(name)).verify()
    #expect(try !check("checksums", report).holds)
  }

  @Test func damageInAnRSWFileIsFound() throws {
    let folder = try TemporaryFolder()
    try Checkpoint(path: digits).stateDict().write(to: folder.path("a.rsw"), as: .rsw)
    let whole = try Checkpoint(path: folder.path("a.rsw")).verify()
    #expect(
      try whole.holds && check("checksums", whole).count == 122 && check("checksums", whole).unit == "tensors"
    )
    var content = try bytes(folder.path("a.rsw"))
    content[content.count - 1] ^= 1
    let report = try Checkpoint(path: folder.write(content, as: "b.rsw")).verify()
    #expect(try check("checksums", report).findings.count == 1)
    #expect(try check("checksums", report).outcome == "1 not as recorded")
  }

  @Test func largeTensorsAreCheckedInParts() throws {
    let folder = try TemporaryFolder()
    let count = 3_000_001  // 12 MB, and no multiple of anything
    var values = (0..<count).map { Float($0 % 1000) }
    var stateDict = StateDict()
    try stateDict.append("large", Tensor(shape: [count], values))
    try stateDict.write(to: folder.path("a.rsw"), as: .rsw)
    #expect(try Checkpoint(path: folder.path("a.rsw")).verify().holds)
    var content = try bytes(folder.path("a.rsw"))
    content[content.count - 4_500_000] ^= 0x40
    #expect(
      try !check("checksums", Checkpoint(path: folder.write(content, as: "b.rsw")).verify()).holds)

    values[2_345_678] = .nan
    values[count - 1] = -.infinity
    var other = StateDict()
    try other.append("large", Tensor(shape: [count], values))
    try other.write(to: folder.path("c.rsw"), as: .rsw)
    let report = try Checkpoint(path: folder.path("c.rsw")).verify()
    let finding = try #require(check("values", report).findings.first)
    #expect(finding.index == [2_345_678] && finding.message == "is NaN (1 NaN and 1 infinities in all)")
    #expect(try check("checksums", report).holds)
  }

  @Test func runsOfCompressedRecordsAreChecked() throws {
    let report = try Checkpoint(path: Fixtures.path("reading/zip-deflated-unused.pth")).verify()
    #expect(report.holds)
    var limits = Limits()
    limits.checkedInflationBase = 1
    limits.checkedInflationRatio = 1
    let refused = try Checkpoint(
      path: Fixtures.path("reading/zip-deflated-unused.pth"), limits: limits
    ).verify()
    #expect(try check("checksums", refused).findings.contains { $0.message.contains("zip -0") })
  }

  @Test(arguments: [
    (DType.float64, [0, 0, 0, 0, 0, 0, 0xF0, 0x7F] as [UInt8], "inf"),
    (.float64, [1, 0, 0, 0, 0, 0, 0xF0, 0xFF], "NaN"),
    (.float32, [0, 0, 0x80, 0xFF], "-inf"), (.float32, [1, 0, 0x80, 0x7F], "NaN"),
    (.float16, [0, 0xFC], "-inf"), (.float16, [1, 0x7C], "NaN"), (.bfloat16, [0x80, 0x7F], "inf"),
    (.bfloat16, [0x81, 0x7F], "NaN"), (.float8_e4m3fn, [0xFF], "NaN"), (.float8_e5m2, [0xFC], "-inf"),
    (.float8_e5m2, [0x7D], "NaN"), (.float8_e4m3fnuz, [0x80], "NaN"), (.float8_e5m2fnuz, [0x80], "NaN"),
    (.float8_e8m0fnu, [0xFF], "NaN"),
    (.complex64, [0, 0, 0x80, 0x3F, 0, 0, 0x80, 0x7F], "inf"),
  ])
  func valuesThatAreNotFiniteAreFoundInEveryType(_ dtype: DType, _ bits: [UInt8], _ value: String) throws {
    // Long enough for vectors, and the value at each place of one
    for place in 90..<107 {
      var content = [UInt8](repeating: 0x3C, count: 107 * dtype.size)
      content.replaceSubrange(place * dtype.size..<(place + 1) * dtype.size, with: bits)
      let tensor = try Tensor(dtype: dtype, shape: [107], storage: Storage(Bytes(content)))
      var stateDict = StateDict()
      try stateDict.append("x", tensor)
      let report = try Checkpoint(path: digits).verify(stateDict)
      let finding = try #require(check("values", report).findings.first, "\(dtype) \(place)")
      #expect(finding.index == [place] && finding.message.hasPrefix("is \(value) "), "\(dtype): \(finding)")
    }
  }

  @Test func viewsAreLookedAtAsTheyAre() throws {
    let storage = Storage(Bytes([0, 0, 0x80, 0x7F, 0, 0, 0x80, 0x3F, 0, 0, 0, 0, 0, 0, 0x80, 0x3F]))
    var stateDict = StateDict()
    try stateDict.append(
      "beside", Tensor(dtype: .float32, shape: [3], strides: [1], storageOffset: 1, storage: storage))
    try stateDict.append(
      "transposed", Tensor(dtype: .float32, shape: [2, 2], strides: [1, 2], storage: storage))
    try stateDict.append(
      "expanded", Tensor(dtype: .float32, shape: [1 << 40, 4], strides: [0, 1], storage: storage))
    let findings = try check("values", Checkpoint(path: digits).verify(stateDict)).findings
    #expect(findings.map(\.subject) == ["transposed", "expanded"])
    #expect(findings.map(\.index) == [[0, 0], [0, 0]])
  }

  @Test func theDigestInTheNameMustBeginTheFiles() throws {
    let folder = try TemporaryFolder()
    let content = try bytes(digits)
    let digest = SHA256.digest(of: Bytes(content))
    for count in [8, 10, 64] {
      let name = "resnet18-\(digest.prefix(count)).pth"
      let right = try Checkpoint(path: folder.write(content, as: name)).verify()
      #expect(try right.holds && check("name", right).outcome.contains(digest.prefix(count)))
    }
    let wrong = try Checkpoint(path: folder.write(content, as: "resnet18-00000000.pth")).verify()
    #expect(!wrong.holds)
    #expect(try check("name", wrong).findings[0].message.contains("begins with \(digest.prefix(8))"))
    // With the checks that concern the content as they were
    #expect(wrong.checks.filter { !$0.holds }.map(\.name) == ["name"])
  }

  @Test func tensorsWithoutElementsAreRemarks() throws {
    let report = try Checkpoint(path: Fixtures.path("reading/meta-tensor.pth")).verify()
    let findings = try check("structure", report).findings
    #expect(report.holds && !findings.isEmpty && findings.allSatisfy { $0.severity == .remark })
  }

  @Test func whereNoStateDictIsPlainlyMeantAllTensorsAreLookedAt() throws {
    let report = try Checkpoint(path: Fixtures.path("reading/nested-two.pth")).verify()
    #expect(try report.holds && check("structure", report).count > 0)
  }

  @Test func filesThatCannotBeReadThrow() {
    #expect(throws: CheckpointError.self) {
      try Checkpoint(path: Fixtures.path("bad/truncated.pth")).verify()
    }
  }

  @Test func otherChecksAreMadeBeside() throws {
    let checkpoint = try Checkpoint(path: digits)
    let report = try checkpoint.verify(checkpoint.stateDict()) {
      [.init("more", count: 1, unit: "things", outcome: "bad", findings: [.init(.failure, nil, "is bad")])]
    }
    #expect(report.checks.last?.name == "more" && !report.holds)
  }
}
