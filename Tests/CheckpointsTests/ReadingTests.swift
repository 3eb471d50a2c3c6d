// Every case of Fixtures/reading gives exactly what PyTorch reads from it.

import Checkpoints
import TestSupport
import Testing

@Suite struct ReadingTests {
  @Test(arguments: Fixtures.readingCases)
  func tensorsAreWhatPyTorchReads(_ name: String) throws {
    let expected = try Fixtures.expectation(name)
    guard expected.candidates == nil else { return }  // ambiguousDictsAreNamed has these
    let stateDict = try Checkpoint(path: Fixtures.path("reading/\(name).pth")).stateDict()

    #expect(stateDict.names.map { Array($0.utf8) } == expected.tensors.map { Array($0.name.utf8) })
    #expect(stateDict.location == expected.nesting ?? "")
    for tensor in expected.tensors {
      let actual = try #require(stateDict[tensor.name], "\(tensor.name) is missing")
      #expect(actual.dtype.rawValue == tensor.dtype, "\(tensor.name)")
      #expect(actual.shape == tensor.shape, "\(tensor.name)")
      #expect(actual.strides == tensor.strides, "\(tensor.name)")
      #expect(actual.storageOffset == tensor.offset, "\(tensor.name)")
      #expect(try actual.contiguousBytes().array == bytes(hex: tensor.bytes), "\(tensor.name)")
    }
    for (a, b) in zip(expected.tensors, expected.tensors.dropFirst()) {
      let shared = try #require(stateDict[a.name]).storage === #require(stateDict[b.name]).storage
      #expect(shared == (a.storage == b.storage), "\(a.name) and \(b.name) share a storage: \(shared)")
    }
  }

  @Test(arguments: Fixtures.readingCases)
  func recordedChecksumsHold(_ name: String) throws {
    try Checkpoint(path: Fixtures.path("reading/\(name).pth")).verifyChecksums()
  }

  @Test func conversionToFloatIsPyTorchs() throws {
    let expected = try Fixtures.expectation("floats")
    let stateDict = try Checkpoint(path: Fixtures.path("reading/floats.pth")).stateDict()
    for tensor in expected.tensors {
      let floats = try #require(stateDict[tensor.name]).floats()
      let hex = try #require(tensor.float32)
      #expect(
        floats.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value.bitPattern >> (8 * $0)) } }
          == bytes(hex: hex), "\(tensor.name)")
    }
  }

  @Test func ambiguousDictsAreNamed() throws {
    let expected = try Fixtures.expectation("nested-two")
    let checkpoint = try Checkpoint(path: Fixtures.path("reading/nested-two.pth"))
    let error = #expect(throws: CheckpointError.self) { try checkpoint.stateDict() }
    #expect(error?.code == .ambiguous)
    for candidate in try #require(expected.candidates) {
      #expect(error?.description.contains("\"\(candidate)\"") == true)
      #expect(try !checkpoint.stateDict(key: candidate).isEmpty)
    }
  }

  @Test func averagedWeightsAreTakenWhenAskedFor() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("reading/nested-ema.pth"))
    #expect(try checkpoint.stateDict(key: "state_dict_ema").location == "state_dict_ema")
    #expect(checkpoint.stateDictKeys == ["state_dict", "state_dict_ema"])
  }

  @Test func unknownKeysNameTheKnownOnes() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("reading/nested-ema.pth"))
    let error = #expect(throws: CheckpointError.self) { try checkpoint.stateDict(key: "weights") }
    #expect(error?.code == .noStateDict)
    #expect(error?.description.contains("\"state_dict_ema\"") == true)
  }

  @Test func entriesThatAreNoTensorsAreReported() throws {
    let stateDict = try Checkpoint(path: Fixtures.path("reading/metadata-scalars.pth")).stateDict()
    #expect(!stateDict.otherEntries.isEmpty)
  }

  @Test func everyDTypeHasTheSizeOfItsElements() throws {
    for tensor in try Fixtures.expectation("dtypes").tensors {
      let dtype = try #require(DType(rawValue: tensor.dtype))
      #expect(tensor.bytes.count / 2 == tensor.shape.reduce(1, *) * dtype.size, "\(dtype)")
    }
  }
}
