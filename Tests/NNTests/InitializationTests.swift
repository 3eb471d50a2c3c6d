// Initial values depend on the seed and the name alone, and have the spread they should.

import NN
import Testing

@Suite struct InitializationTests {
  private func parameters() -> [Parameter] {
    let scope = Scope()
    _ = Conv2d(scope["conv1"], 64, 64, kernel: 3)
    _ = BatchNorm2d(scope["bn1"], 64)
    _ = Linear(scope["fc"], 100, 50)
    return scope.parameters
  }

  @Test func sameSeedSameValues() throws {
    for parameter in parameters() {
      let values = try parameter.initialTensor(seed: 1).contiguousBytes()
      #expect(try parameter.initialTensor(seed: 1).contiguousBytes() == values, "\(parameter.name)")
      if case .kaimingNormalFanOut = parameter.initialization {
        #expect(try parameter.initialTensor(seed: 2).contiguousBytes() != values, "\(parameter.name)")
      }
    }
  }

  @Test func convolutionsAreKaimingNormalByFanOut() throws {
    let values = try parameters()[0].initialTensor(seed: 0).floats().map(Double.init)
    let mean = values.reduce(0, +) / Double(values.count)
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
    #expect(abs(mean) < 0.002)
    #expect(abs(variance / (2.0 / (64 * 9)) - 1) < 0.03)
  }

  @Test func batchNormIsOneAndZero() throws {
    let expected: [String: Float] = [
      "bn1.weight": 1, "bn1.bias": 0, "bn1.running_mean": 0, "bn1.running_var": 1,
      "bn1.num_batches_tracked": 0,
    ]
    for parameter in parameters() {
      guard let value = expected[parameter.name] else { continue }
      #expect(try parameter.initialTensor(seed: 0).floats().allSatisfy { $0 == value }, "\(parameter.name)")
    }
  }
}
