// Checksums of records that nothing reads: checked, but not kept, and not without end.

import Checkpoints
import TestSupport
import Testing

@Suite struct ChecksumTests {
  /// Bit by bit, as the definition has it.
  private func definition(_ bytes: [UInt8]) -> UInt32 {
    var remainder = UInt32.max
    for byte in bytes {
      remainder ^= UInt32(byte)
      for _ in 0..<8 { remainder = remainder >> 1 ^ (remainder & 1 == 1 ? 0xEDB8_8320 : 0) }
    }
    return ~remainder
  }

  @Test func theStandardsCheckValue() {
    #expect(crc32(Bytes(Array("123456789".utf8))) == 0xCBF4_3926)
    #expect(crc32(Bytes([])) == 0)
  }

  @Test(arguments: [
    63, 64, 127, 128, 143, 192, 1000, 4800, 16_383, 16_384, 16_385, 16_391, 24_575, 65_543, 100_000, 300_001,
  ])
  func largeContent(size: Int) {
    var random = SystemRandomNumberGenerator()
    let bytes = (0..<size).map { _ in UInt8.random(in: 0...255, using: &random) }
    #expect(crc32(Bytes(bytes)) == definition(bytes))
    #expect(bytes.withUnsafeBytes { reducedChecksum($0, continuing: 0) } == definition(bytes))
    // From an address that is not aligned
    #expect(Bytes(bytes).slice(3, size - 3).map(crc32) == definition(Array(bytes[3...])))
  }

  private let path = Fixtures.path("reading/zip-deflated-unused.pth")

  private func record(_ name: String) throws -> ZipRecord {
    try #require(ZipArchive(Bytes(mapping: path))[name])
  }

  @Test func contentInflatedForItsChecksumIsNotKept() throws {
    let record = try record("archive/extra/0")
    #expect(try record.verifiedChecksum() == record.entry.recordedCRC)
    #expect(record.bytesToInflate == 3_000_000)
    _ = try record.bytes()
    #expect(record.bytesToInflate == 0)
  }

  @Test func contentBeyondWhatATensorNeedsIsNotKept() throws {
    let path = Fixtures.path("reading/zip-deflated-longer.pth")
    let tensor = try #require(Checkpoint(path: path).stateDict()["linear.weight"])
    #expect(try tensor.contiguousBytes().count == 24)
    let record = try #require(ZipArchive(Bytes(mapping: path))[tensor.storage.origin])
    #expect(try record.bytes(in: 0..<24) == tensor.contiguousBytes())
    #expect(
      try record.bytes(in: 20..<30).array
        == tensor.contiguousBytes().array.suffix(4) + [UInt8](repeating: 0, count: 6))
    #expect(record.bytesToInflate == 20_024)
  }

  @Test func inflatingForChecksumsIsBounded() throws {
    var limits = Limits()
    limits.checkedInflationBase = 2_999_999
    let checkpoint = try Checkpoint(path: path, limits: limits)
    let error = #expect(throws: CheckpointError.self) { try checkpoint.verifyChecksums() }
    #expect(error?.code == .limitExceeded)
    #expect(
      error?.description
        == "\(path): has compressed records beside its weights that inflate to 3000101 bytes; "
        + "at most 2999999 are inflated for their checksums. Repack it with 'zip -0' if you trust it.")
    limits.checkedInflationRatio = 1000
    try Checkpoint(path: path, limits: limits).verifyChecksums()
  }

  @Test func convertingChecksRecordsThatNothingRefersTo() throws {
    let folder = try TemporaryFolder()
    let checkpoint = try Checkpoint(path: Fixtures.path("bad/wrong-crc-unused.pth"))
    var options = WriteOptions()
    options.source = checkpoint
    let error = #expect(throws: CheckpointError.self) {
      try checkpoint.stateDict().write(to: folder.path("a.rsw"), as: .rsw, options: options)
    }
    #expect(error?.code == .checksumMismatch)
  }
}
