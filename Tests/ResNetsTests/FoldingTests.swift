// A folded ResNet gives the results that it gave before, and is recognised by its keys and shapes alone.

import ResNets
import TestSupport
import Testing

@Suite struct FoldingTests {
  /// A narrow network with few blocks of everything that an architecture may have.
  private func architecture(_ change: (inout Architecture) -> Void = { _ in }) -> Architecture {
    var architecture = Architecture(block: .bottleneck, layers: [1, 2, 1, 1])
    (architecture.planes, architecture.stemChannels, architecture.classes) = ([8, 16, 24, 32], 8, 5)
    change(&architecture)
    return architecture
  }

  /// Weights and statistics that change something.
  private func model(_ architecture: Architecture, seed: UInt64 = 1) throws -> ResNet {
    var random = SplitMix64(state: seed)
    var model = ResNet(architecture)
    var weights = StateDict()
    for parameter in model.parameters where parameter.dtype == .float32 {
      let count = parameter.shape.reduce(1, *)
      let fan = Double(max(1, parameter.shape.dropFirst().reduce(1, *)))
      let values = (0..<count).map { _ in
        parameter.shape.count > 1
          ? Float(random.normal() * (2 / fan).squareRoot())
          : Float(parameter.name.hasSuffix("running_var") ? 0.5 + random.uniform() : random.normal() * 0.5)
      }
      try weights.append(parameter.name, Tensor(shape: parameter.shape, values))
    }
    try model.load(weights)
    return model
  }

  private func oracle(_ model: ResNet, _ input: Tensor) throws -> [Float] {
    try ReferenceInterpreter(model.graph, model.stateDict).run(input)[model.graph.output].values
      .map { Float($0) }
  }

  private func check(_ model: ResNet, _ folded: ResNet, _ input: Tensor) throws {
    let difference = try difference(oracle(folded, input), oracle(model, input), tolerance: 1e-6)
    #expect(difference == nil, "\(difference ?? "")")
    // The engine rounds here and there where the other does not.
    let rounded = try TestSupport.difference(
      folded(input).floats(), model(input).floats(), tolerance: 1e-5)
    #expect(rounded == nil, "the engine: \(rounded ?? "")")
  }

  @Test(arguments: [
    "basic", "plain", "deep stem", "average shortcut", "groups", "squeeze", "efficient", "biases", "RS stem",
    "blur", "stride first", "features", "eps",
  ])
  func resultsAreThoseOfTheNetworkItself(_ feature: String) throws {
    let architecture = architecture { architecture in
      switch feature {
      case "basic": architecture.blocks = [.basic, .basic, .basic, .basic]
      case "deep stem": architecture.stem = .deep(4, 6)
      case "average shortcut": architecture.shortcut = .averagePool
      case "groups": (architecture.groups, architecture.widthPerGroup) = (2, 32)
      case "squeeze": architecture.attention = .squeezeExcitation(reduction: 16)
      case "efficient": architecture.attention = .efficientChannel
      case "biases": architecture.hasBiases = true
      case "RS stem": architecture.replacesStemPool = true
      case "blur": architecture.antialiasing = .blur
      case "stride first": architecture.stridePlacement = .first
      case "features": architecture.classes = nil
      case "eps": architecture.eps = 1e-2
      default: break
      }
    }
    let model = try model(architecture)
    let folded = try model.foldingBatchNorm()
    #expect(folded.architecture.normalization == .folded)
    #expect(!folded.stateDict.names.contains { $0.contains("bn") || $0.contains("running") })
    #expect(folded.stateDict.allSatisfy { $0.tensor.dtype == .float32 })
    #expect(folded.stateDict.names == folded.parameters.map(\.name))
    var random = SplitMix64(state: 2)
    let input = try Tensor(shape: [2, 3, 41, 34], (0..<2 * 3 * 41 * 34).map { _ in Float(random.normal()) })
    try check(model, folded, input)

    // Keys and shapes tell all but what they never tell.
    let recognised = try Recognition(folded.stateDict).architecture
    var expected = folded.architecture
    (expected.antialiasing, expected.stridePlacement) = (recognised.antialiasing, recognised.stridePlacement)
    #expect(recognised == expected)
  }

  @Test func digitsAreReadAsBefore() throws {
    let model = try ResNet(Checkpoint(path: Fixtures.path("digits/resnet18-digits.pth")))
    let folded = try model.foldingBatchNorm()
    let images = try Tensor(npy: Fixtures.path("digits/images.npy"))
    let first = try Tensor(
      shape: [4] + images.shape.dropFirst(),
      [Float](images.floats().prefix(4 * images.shape.dropFirst().reduce(1, *))))
    try check(model, folded, first)
    let expected = try Tensor(npy: Fixtures.path("digits/logits.npy")).floats()
    let difference = try difference(folded(images).floats(), expected, tolerance: 1e-5)
    #expect(difference == nil, "\(difference ?? "")")
  }

  @Test(arguments: ["model.rsw", "model.pth", "model.npz", "model.safetensors"])
  func filesAreRecognisedByTheirKeys(_ name: String) throws {
    let folded = try ResNet(Checkpoint(path: Fixtures.path("digits/resnet18-digits.pth"))).foldingBatchNorm()
    let folder = try TemporaryFolder()
    var options = WriteOptions()
    options.architecture = folded.architecture.json.text()
    try folded.stateDict.write(to: folder.path(name), options: options)
    let read = try ResNet(Checkpoint(path: folder.path(name)))
    #expect(read.architecture == folded.architecture)
    #expect(read.architecture.variantName == "resnet18")
    let images = try Tensor(npy: Fixtures.path("digits/images.npy"))
    #expect(try read(images).floats() == folded(images).floats())
  }

  @Test(arguments: Variant.all.filter { $0.architecture.normalization == .batch }.map(\.name))
  func foldedVariantsAreRecognised(_ name: String) throws {
    var architecture = try #require(Architecture(named: name))
    architecture.normalization = .folded
    var hints = Hints()
    hints.path = "\(name).pth"
    let recognition = try Recognition(ResNet(architecture).stateDict, hints: hints)
    #expect(recognition.architecture == architecture)
    #expect(recognition.architecture.variantName == name)
  }

  @Test(arguments: [Architecture.Normalization.batch, .group(groups: 32)], [false, true])
  func biasesAloneAreNoFolding(_ normalization: Architecture.Normalization, _ hasBiases: Bool) throws {
    let architecture = architecture { architecture in
      (architecture.normalization, architecture.hasBiases) = (normalization, hasBiases)
      (architecture.planes, architecture.stemChannels) = ([32, 32, 32, 32], 32)
    }
    #expect(try Recognition(ResNet(architecture).stateDict).architecture == architecture)
  }

  @Test func recordsOfAnotherKindAreRefused() throws {
    let model = try model(architecture())
    let folder = try TemporaryFolder()
    for (written, recorded) in [(model, try model.foldingBatchNorm()), (try model.foldingBatchNorm(), model)]
    {
      var options = WriteOptions()
      (options.architecture, options.replacing) = (recorded.architecture.json.text(), true)
      try written.stateDict.write(to: folder.path("model.rsw"), options: options)
      #expect(throws: RecognitionError.self) { try Checkpoint(path: folder.path("model.rsw")).recognition() }
    }
  }

  @Test func whatHasNothingToFoldIsAnError() throws {
    let grouped = architecture { $0.normalization = .group(groups: 4) }
    let error = #expect(throws: InputError.self) { try ResNet(grouped).foldingBatchNorm() }
    #expect(error?.description.contains("GroupNorm") == true)
    let folded = try model(architecture()).foldingBatchNorm()
    let again = #expect(throws: InputError.self) { try folded.foldingBatchNorm() }
    #expect(again?.description.contains("nothing to fold") == true)
    // Pooling between a convolution and its norm.
    let apart = architecture { ($0.replacesStemPool, $0.antialiasing) = (true, .average) }
    let other = #expect(throws: InputError.self) { try ResNet(apart).foldingBatchNorm() }
    #expect(other?.description.contains("\"maxpool.2.weight\"") == true)
  }
}
