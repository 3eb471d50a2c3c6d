// Every case of Fixtures/reading gives exactly what PyTorch reads from it.

import Checkpoints
import TestSupport
import Testing

@Suite struct ReadingTests {
  @Test(arguments: Fixtures.readingCases)
  func tensorsAreWhatPyTorchReads(_ name: String) throws {
    let expected = try Fixtures.expectation(name)
    guard expected.candidates == nil else { return }  // ambiguousDictsAreNamed has these
    let checkpoint = try open(expected)
    // A member is a checkpoint of its own kind.
    #expect(expected.member != nil || checkpoint.container.rawValue == expected.container)
    let stateDict = try checkpoint.stateDict()

    #expect(stateDict.names.map { Array($0.utf8) } == expected.tensors.map { Array($0.name.utf8) })
    #expect(stateDict.location == expected.nesting ?? "")
    for tensor in expected.tensors {
      let actual = try #require(stateDict[tensor.name], "\(tensor.name) is missing")
      #expect(actual.dtype.rawValue == tensor.dtype, "\(tensor.name)")
      #expect(actual.shape == tensor.shape, "\(tensor.name)")
      #expect(actual.layout.rawValue == tensor.layout ?? "strided", "\(tensor.name)")
      // Without elements there is nothing to step over, and NumPy steps by 0.
      if let strides = tensor.strides, actual.elementCount > 0 {
        #expect(actual.strides == strides, "\(tensor.name)")
      }
      if let offset = tensor.offset { #expect(actual.storageOffset == offset, "\(tensor.name)") }
      if let hex = tensor.bytes {
        #expect(try actual.contiguousBytes().array == bytes(hex: hex), "\(tensor.name)")
      }
      try checkForm(actual, tensor)
    }
    for (a, b) in zip(expected.tensors, expected.tensors.dropFirst())
    where a.storage != nil && b.storage != nil {
      let shared = try #require(stateDict[a.name]).storage === #require(stateDict[b.name]).storage
      #expect(shared == (a.storage == b.storage), "\(a.name) and \(b.name) share a storage: \(shared)")
    }
  }

  private func open(_ expected: ReadingCase) throws -> Checkpoint {
    try Checkpoint(path: Fixtures.path("reading/\(expected.file)"), member: expected.member)
  }

  /// What a tensor is beside a view: quantized, sparse, nested, without elements.
  private func checkForm(_ actual: Tensor, _ expected: ReadingCase.Tensor) throws {
    if let quantization = expected.quantization {
      switch actual.quantization {
      case .perTensor(let scale, let zeroPoint)?:
        #expect(scale == quantization.scale && zeroPoint == quantization.zeroPoint, "\(expected.name)")
      case .perChannel(let scales, let zeroPoints, let axis, _)?:
        #expect(scales == quantization.scales && zeroPoints == quantization.zeroPoints, "\(expected.name)")
        #expect(axis == quantization.axis, "\(expected.name)")
      case nil: Issue.record("\(expected.name) is not quantized")
      }
    } else {
      #expect(actual.quantization == nil, "\(expected.name)")
    }
    #expect(actual.components.map(\.name) == (expected.components ?? []).map { $0.name ?? "" })
    for (component, part) in zip(actual.components, expected.components ?? []) {
      try check(component.tensor, part, "\(expected.name).\(component.name)")
    }
    if let dense = expected.dense { try check(actual.dense(), dense, expected.name) }
    if let parts = expected.parts {
      let actualParts = try actual.nestedParts()
      #expect(actualParts.count == parts.count)
      for (index, part) in zip(actualParts, parts).enumerated() {
        try check(part.0, part.1, "\(expected.name)[\(index)]")
      }
    }
    if expected.layout == "meta" {
      let error = #expect(throws: CheckpointError.self) { try actual.contiguousBytes() }
      #expect(error?.code == .noElements)
    }
  }

  private func check(_ actual: Tensor, _ expected: ReadingCase.Part, _ name: String) throws {
    #expect(actual.dtype.rawValue == expected.dtype, "\(name)")
    #expect(actual.shape == expected.shape, "\(name)")
    #expect(try actual.contiguousBytes().array == bytes(hex: expected.bytes), "\(name)")
  }

  @Test(arguments: Fixtures.readingCases)
  func recordedChecksumsHold(_ name: String) throws {
    try open(Fixtures.expectation(name)).verifyChecksums()
  }

  @Test(arguments: Fixtures.readingCases)
  func everyTensorIsFoundByWalkingToo(_ name: String) throws {
    let expected = try Fixtures.expectation(name)
    let checkpoint = try open(expected)
    let all = try checkpoint.allTensors()
    guard expected.candidates == nil else { return }
    let stateDict = try checkpoint.stateDict()
    if let names = expected.all { #expect(all.names.sorted() == names.sorted()) }
    if let nested = expected.nested { #expect(stateDict.nestedEntries == nested) }
    let prefix = expected.nesting.map { $0 + "." } ?? ""
    for tensor in expected.tensors where all[prefix + tensor.name] == nil {
      // What is reached under two paths is listed under the first.
      let origin = stateDict[tensor.name]?.storage.origin ?? ""
      #expect(
        !origin.isEmpty && all.contains { $0.tensor.storage.origin == origin },
        "\(prefix + tensor.name) is missing")
    }
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
      #expect(try #require(tensor.bytes).count / 2 == tensor.shape.reduce(1, *) * dtype.size, "\(dtype)")
    }
  }
}
