// The variants agree with PyTorch: logits and activations of narrow networks with random
// weights, against PyTorch's in float64; and a network that was really trained.

import ResNets
import TestSupport
import Testing

@Suite struct ParityTests {
  static let stages = ["maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool"]

  @Test(arguments: [
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "wide_resnet50_2", "grouped",
  ])
  func activationsArePyTorchs(_ name: String) throws {
    let folder = "models/\(name)/"
    let model = try ResNet(Checkpoint(path: Fixtures.path(folder + "model.pth")))
    // Four groups are no published variant's.
    #expect(model.architecture.variantName == (name == "grouped" ? nil : name))
    let input = try Tensor(npy: Fixtures.path(folder + "input.npy"))

    let logits = try model(input)
    try compare(logits, folder + "logits.npy", "logits")
    for (stage, output) in zip(ParityTests.stages, try model.outputs(input, at: ParityTests.stages)) {
      try compare(output, folder + stage + ".npy", stage)
    }

    let oracle = try ReferenceInterpreter(model.graph, model.stateDict).run(input)[model.graph.output]
    let expected = try Tensor(npy: Fixtures.path(folder + "logits.npy")).floats()
    let difference = difference(oracle.values.map { Float($0) }, expected, tolerance: 1e-6)
    #expect(difference == nil, "the oracle: \(difference ?? "")")
  }

  private func compare(_ actual: Tensor, _ fixture: String, _ what: String) throws {
    let expected = try Tensor(npy: Fixtures.path(fixture))
    #expect(actual.shape == expected.shape, "\(what)")
    let difference = try difference(actual.floats(), expected.floats(), tolerance: 1e-5)
    #expect(difference == nil, "\(what): \(difference ?? "")")
  }

  @Test func digitsAreReadAsPyTorchReadsThem() throws {
    let model = try ResNet(Checkpoint(path: Fixtures.path("digits/resnet18-digits.pth")))
    let logits = try model(Tensor(npy: Fixtures.path("digits/images.npy")))
    try compare(logits, "digits/logits.npy", "logits")
    let predicted = try classes(logits)
    #expect(predicted == (try classes(Tensor(npy: Fixtures.path("digits/logits.npy")))))
    let labels = try Tensor(npy: Fixtures.path("digits/labels.npy")).floats().map { Int($0) }
    #expect(zip(predicted, labels).count { $0 == $1 } >= 97)
  }

  /// The index of the largest value of each row.
  private func classes(_ logits: Tensor) throws -> [Int] {
    let values = try logits.floats()
    let count = logits.shape[1]
    return (0..<logits.shape[0]).map { row in
      (0..<count).max { values[row * count + $0] < values[row * count + $1] } ?? 0
    }
  }

  @Test func bothHeadsAreEqualAt224Pixels() throws {
    var architecture = Architecture(block: .basic, layers: [1, 1, 1, 1])
    (architecture.planes, architecture.stemChannels, architecture.classes) = ([8, 16, 32, 64], 8, 5)
    let adaptive = ResNet(architecture, seed: 3)
    architecture.head = .tutorial
    let tutorial = ResNet(architecture, seed: 3)
    var random = SplitMix64(state: 1)
    let input = try Tensor(shape: [1, 3, 224, 224], (0..<3 * 224 * 224).map { _ in Float(random.normal()) })
    let (a, b) = (try adaptive(input).floats(), try tutorial(input).floats())
    #expect(difference(a, b, tolerance: 1e-6) == nil)

    let small = try Tensor(shape: [1, 3, 64, 64], [Float](repeating: 0, count: 3 * 64 * 64))
    #expect(throws: InputError.self) { try tutorial(small) }
    #expect(try adaptive(small).shape == [1, 5])
  }
}
