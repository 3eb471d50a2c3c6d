// Variants, widths and classes are read off keys and shapes; what these can't tell comes from a hint or is named;
// what is no ResNet is refused with a reason.

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

  @Test(arguments: Variant.all.map(\.name)) func variantsAreRecognisedByTheirKeysAndName(_ name: String)
    throws
  {
    var architecture = try #require(Architecture(named: name))
    architecture.classes = 7
    let stateDict = ResNet(architecture).stateDict
    for path in [
      "\(name).pth", "some/\(name)_a1-0123abcd.pth",
      "models--timm--\(name).a1_in1k/snapshots/0/model.safetensors",
    ] {
      var hints = Hints()
      hints.path = path
      let recognition = try Recognition(stateDict, hints: hints)
      #expect(recognition.architecture == architecture, "\(path)")
      #expect(recognition.architecture.variantName == name)
    }
    var model = try ResNet(Recognition(stateDict))
    #expect(try model.load(stateDict).isComplete)
  }

  @Test(arguments: Variant.all.map(\.name)) func withoutANameThePlainReadingIsTakenAndOthersAreNamed(
    _ name: String
  ) throws {
    let architecture = try #require(Architecture(named: name))
    let recognition = try Recognition(ResNet(architecture).stateDict)
    var plain = architecture
    plain.antialiasing = .none
    #expect(recognition.architecture == plain)
    if architecture.antialiasing != .none { #expect(recognition.alternatives.contains("--arch \(name)")) }
    let told = try Recognition(ResNet(architecture).stateDict, hints: Hints(architecture: name))
    #expect(told.architecture == architecture)
    #expect(!told.alternatives.contains { $0.hasPrefix("--arch") })
  }

  @Test func variantsHaveNamesOfTheirOwn() {
    #expect(Set(Variant.all.map(\.name)).count == Variant.all.count)
    for (index, variant) in Variant.all.enumerated() {
      #expect(!Variant.all[..<index].contains { $0.architecture == variant.architecture }, "\(variant.name)")
    }
  }

  @Test(arguments: [
    ("(dp0\nVarch\np1\nVresnetblur18\np2\ns.", "\"arch\" of the checkpoint says resnetblur18"),
    (
      "(dp0\nVargs\np1\n(dp2\nVmodel\np3\nVresnetblur18.a1_in1k\np4\nss.",
      "\"model\" of the checkpoint says resnetblur18"
    ),
  ])
  func aTrainingScriptsNameForTheNetworkIsAHint(_ pickle: String, _ step: String) throws {
    let checkpoint = try Checkpoint(Bytes(Array(pickle.utf8)), path: "checkpoint.pth.tar")
    let stateDict = try narrow("resnet18").stateDict
    let recognition = try Recognition(stateDict, hints: Hints().and(checkpoint))
    #expect(recognition.architecture.variantName == "resnetblur18")
    #expect(recognition.steps.contains(step), "\(recognition.steps)")
  }

  @Test func theArchitectureBesideAHubsFileIsAHint() throws {
    let folder = try TemporaryFolder()
    var header: [String] = []
    var data: [UInt8] = []
    for (name, tensor) in try narrow("resnet18").stateDict where tensor.dtype == .float32 {
      let bytes = try tensor.contiguousBytes().array
      header.append(
        "\"\(name)\":{\"dtype\":\"F32\",\"shape\":\(tensor.shape),\"data_offsets\":[\(data.count),\(data.count + bytes.count)]}"
      )
      data += bytes
    }
    var text = Array("{\(header.joined(separator: ","))}".utf8)
    while !text.count.isMultiple(of: 8) { text.append(0x20) }
    let size = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
    let path = try folder.write(size + text + data, as: "model.safetensors")
    #expect(try Checkpoint(path: path).recognition().architecture.variantName == "resnet18")
    _ = try folder.write(
      Array("{\"architecture\": \"resnetblur18\", \"num_classes\": 7}".utf8), as: "config.json")
    let recognition = try Checkpoint(path: path).recognition()
    #expect(recognition.architecture.variantName == "resnetblur18")
    #expect(recognition.steps.contains("config.json beside it says resnetblur18"), "\(recognition.steps)")
    for broken in ["", "{", "[]", "{\"architecture\": 3}", "{\"architecture\": \"resnet101\"}"] {
      _ = try folder.write(Array(broken.utf8), as: "config.json")
      #expect(try Checkpoint(path: path).recognition().architecture.variantName == "resnet18")
    }
  }

  @Test func namesOfOtherVariantsAreNoHints() throws {
    let stateDict = ResNet(try #require(Architecture(named: "resnet50"))).stateDict
    var hints = Hints()
    for path in ["resnet101.pth", "xresnetblur50.pth", "resnetblur50x.pth"] {
      hints.path = path
      #expect(try Recognition(stateDict, hints: hints).architecture.variantName == "resnet50", "\(path)")
    }
    #expect(throws: RecognitionError.self) {
      try Recognition(stateDict, hints: Hints(architecture: "resnet101"))
    }
    #expect(throws: RecognitionError.self) {
      try Recognition(stateDict, hints: Hints(architecture: "alexnet"))
    }
  }

  @Test(arguments: [
    ("stride", "first"), ("antialiasing", "blur"), ("dilated", "3,4"), ("dilated", "4"), ("head", "tutorial"),
    ("pool", "ceil"), ("eps", "0.001"),
  ])
  func settingsAreTakenAndWrittenAndReadAgain(_ name: String, _ value: String) throws {
    var architecture = try #require(Architecture(named: "resnet50"))
    let stateDict = ResNet(architecture).stateDict
    try architecture.set(name, value)
    var hints = Hints()
    hints.settings = [(name, value)]
    let recognition = try Recognition(stateDict, hints: hints)
    #expect(recognition.architecture == architecture)

    let folder = try TemporaryFolder()
    var options = WriteOptions()
    options.architecture = architecture.json.text()
    let tiny = try narrow("resnet50")
    var other = tiny.architecture
    try other.set(name, value)
    options.architecture = other.json.text()
    try tiny.stateDict.write(to: folder.path("model.rsw"), as: .rsw, options: options)
    let read = try Checkpoint(path: folder.path("model.rsw")).recognition()
    #expect(read.architecture == other)
    #expect(read.alternatives.isEmpty)
  }

  @Test(arguments: [
    ("stride", "third"), ("dilated", "1"), ("dilated", "x"), ("eps", "-1"), ("pool", ""), ("colour", "red"),
  ])
  func impossibleSettingsAreRefused(_ name: String, _ value: String) throws {
    var hints = Hints()
    hints.settings = [(name, value)]
    #expect(throws: RecognitionError.self) { try Recognition(narrow("resnet50").stateDict, hints: hints) }
  }

  private func narrow(_ name: String) throws -> ResNet {
    var architecture = try #require(Architecture(named: name))
    architecture.planes = architecture.planes.map { $0 / 16 }
    architecture.stemChannels /= 16
    architecture.classes = 7
    return ResNet(architecture)
  }

  @Test func narrowNetworksHaveTheirVariantsName() throws {
    for name in ["resnet18", "resnet50", "wide_resnet50_2"] {
      let model = try narrow(name)
      let recognition = try Recognition(model.stateDict)
      #expect(recognition.architecture == model.architecture)
      #expect(recognition.architecture.variantName == name)
    }
  }

  @Test(arguments: ["module", "_orig_mod", "model", "backbone", "module-_orig_mod"])
  func prefixesAreRemoved(_ name: String) throws {
    let expected = try Fixtures.expectation("prefix-\(name)")
    let stateDict = try Checkpoint(path: Fixtures.path("reading/prefix-\(name).pth")).stateDict()
    let recognition = try Recognition(stateDict)
    #expect(recognition.mapping.prefix == expected.prefix)
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
    for key in [
      "conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight", "layer2.0.conv1.weight", "fc.weight",
    ] {
      for shape in [[width, 3, 7, 7], [width, width, 3, 3], [0, 0, 0, 0], [1, 1, 1, width], [width], []] {
        // Stride 0: such shapes need no memory. Those that overflow can't be described at all.
        guard
          let tensor = try? Tensor(
            dtype: .float32, shape: shape, strides: shape.map { _ in 0 }, storage: zero)
        else { continue }
        for variant in ["resnet18", "resnet50"] {
          var stateDict = try narrow(variant).stateDict
          stateDict.update(key, tensor)
          #expect(throws: (any Error).self) {
            var model = try ResNet(matching: stateDict)
            try model.load(stateDict)
          }
        }
      }
    }
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

  @Test func keysThatNothingKnowsAreUnexpected() throws {
    var stateDict = try narrow("resnet18").stateDict
    try stateDict.append("extra.weight", Tensor(shape: [1], [0]))
    let error = #expect(throws: LoadError.self) { try ResNet(Recognition(stateDict)) }
    #expect(error?.report.unexpected == ["extra.weight"])
  }

  @Test func theNearestKeyComesWithARule() throws {
    let model = try narrow("resnet18")
    var stateDict = StateDict()
    for (name, tensor) in model.stateDict {
      let parts = name.split(separator: ".").map { $0 == "bn2" ? "nb2" : String($0) }
      try stateDict.append(parts.joined(separator: "."), tensor)
    }
    var other = model
    let error = #expect(throws: LoadError.self) { try other.load(stateDict) }
    let missing = try #require(error?.report.missing.first { $0.key == "layer1.0.bn2.weight" })
    #expect(missing.rule == "layer1.{a}.nb2.{*}=layer1.{a}.bn2.{*}")
    #expect(error?.description.contains("--map 'layer1.{a}.nb2.{*}=layer1.{a}.bn2.{*}'") == true)
    var hints = Hints()
    hints.map = try KeyMap(parsing: "layer{s}.{b}.nb2.{*} = layer{s}.{b}.bn2.{*}")
    #expect(try Recognition(stateDict, hints: hints).architecture == model.architecture)
  }

  @Test func anotherHeadIsTakenWhereItIsAskedFor() throws {
    let trained = try narrow("resnet50")
    var model = try ResNet(matching: trained.stateDict, classes: 10)
    #expect(model.architecture.classes == 10)
    #expect(throws: LoadError.self) { try model.load(trained.stateDict) }
    let before = try model.stateDict["fc.weight"]?.floats()
    let report = try model.load(trained.stateDict, ignoring: .head)
    #expect(report.isComplete)
    #expect(try model.stateDict["fc.weight"]?.floats() == before)
    #expect(try model.stateDict["conv1.weight"]?.floats() == trained.stateDict["conv1.weight"]?.floats())
    let input = try Tensor(shape: [1, 3, 32, 32], [Float](repeating: 0.5, count: 3 * 32 * 32))
    #expect(try model(input).shape == [1, 10])

    var headless = StateDict()
    for (name, tensor) in trained.stateDict where !name.hasPrefix("fc.") { try headless.append(name, tensor) }
    let features = try ResNet(Recognition(headless))
    #expect(features.architecture.classes == nil)
    #expect(try features(input).shape == [1, features.architecture.features])
    #expect(try features(input).floats() == trained.outputs(input, at: ["avgpool"])[0].floats())
    #expect(throws: LoadError.self) { try model.load(headless) }
    #expect(try model.load(headless, ignoring: .head).isComplete)
  }
}
