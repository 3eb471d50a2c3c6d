// Variants, widths and classes are read off keys and shapes; what is no ResNet is refused with a reason.

import ResNets
import TestSupport
import Testing

@Suite struct RecognitionTests {
  @Test(arguments: [
    ("resnet18", 11_689_512), ("resnet34", 21_797_672), ("resnet50", 25_557_032), ("resnet101", 44_549_160),
    ("resnet152", 60_192_808), ("resnext50_32x4d", 25_028_904), ("resnext101_32x8d", 88_791_336),
    ("resnext101_64x4d", 83_455_272), ("wide_resnet50_2", 68_883_240), ("wide_resnet101_2", 126_886_696),
  ])
  func variantsHaveTheirPublishedParameters(_ name: String, _ count: Int) throws {
    let architecture = try #require(Architecture(named: name))
    #expect(ResNet(architecture).parameterCount == count)
  }

  @Test(arguments: Architecture.variants.map(\.name)) func modelsAreRecognisedFromTheirOwnKeys(_ name: String)
    throws
  {
    var architecture = try #require(Architecture(named: name))
    architecture.width = 16
    architecture.classes = 7
    let model = ResNet(architecture)
    #expect(try Architecture(matching: model.stateDict) == architecture)
    var other = try ResNet(matching: model.stateDict)
    #expect(try other.load(model.stateDict).isComplete)
  }

  @Test(arguments: ["module", "_orig_mod", "model", "backbone", "module-_orig_mod"])
  func prefixesAreRemoved(_ name: String) throws {
    let expected = try Fixtures.expectation("prefix-\(name)")
    let stateDict = try Checkpoint(path: Fixtures.path("reading/prefix-\(name).pth")).stateDict()
    #expect(Architecture.prefix(of: stateDict) == expected.prefix)
    var model = try ResNet(matching: stateDict)
    #expect(try model.load(stateDict).removedPrefix == expected.prefix)
  }

  @Test(arguments: [
    ("reading/zip-stored.pth", "conv1.weight"), ("reading/empty-dict.pth", "conv1.weight"),
  ])
  func otherNetworksAreRefusedWithAReason(_ file: String, _ words: String) throws {
    let stateDict = try Checkpoint(path: Fixtures.path(file)).stateDict()
    let error = #expect(throws: RecognitionError.self) { try ResNet(matching: stateDict) }
    #expect(error?.description.contains(words) == true)
  }

  @Test(arguments: [1 << 17, 1 << 31, 1 << 61]) func impossibleWidthsAreRefused(_ width: Int) throws {
    let zero = Storage(Bytes([0, 0, 0, 0]))
    var stateDict = StateDict()
    for (key, shape) in [
      ("conv1.weight", [width, 3, 7, 7]), ("layer1.0.conv1.weight", [width, width, 3, 3]),
      ("layer2.0.conv1.weight", [1]), ("layer3.0.conv1.weight", [1]), ("layer4.0.conv1.weight", [1]),
      ("fc.weight", [width, width]),
    ] {
      // Stride 0: such shapes need no memory. Those that overflow can't be described at all.
      guard
        let tensor = try? Tensor(dtype: .float32, shape: shape, strides: shape.map { _ in 0 }, storage: zero)
      else {
        continue
      }
      try stateDict.append(key, tensor)
    }
    #expect(throws: RecognitionError.self) { try ResNet(matching: stateDict) }
  }

  @Test func weightsThatDoNotFitAreListed() throws {
    let missing = try Checkpoint(path: Fixtures.path("bad/missing-keys.pth"))
    #expect(throws: (any Error).self) { try ResNet(missing) }
    let mismatched = try Checkpoint(path: Fixtures.path("bad/shape-mismatch.pth"))
    let error = #expect(throws: LoadError.self) { try ResNet(mismatched) }
    #expect(error?.report.mismatched.map(\.key) == ["layer3.0.conv2.weight"])
  }

  @Test func failedLoadsLeaveTheModelAsItWas() throws {
    let mismatched = try Checkpoint(path: Fixtures.path("bad/shape-mismatch.pth")).stateDict()
    var model = try ResNet(matching: mismatched)
    let before = try model.stateDict["conv1.weight"]?.contiguousBytes()
    #expect(throws: LoadError.self) { try model.load(mismatched) }
    #expect(try model.stateDict["conv1.weight"]?.contiguousBytes() == before)
  }
}
