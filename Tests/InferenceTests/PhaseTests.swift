// Windows of stride 2 over few channels give by their phases what the definition gives.

import Checkpoints
import Inference
import NN
import TestSupport
import Testing

@Suite struct PhaseTests: ComparesWithOracle {
  /// Odd and even sizes, images smaller than a tile, padding that the last tiles don't reach or reach beyond, and every
  /// number of channels.
  @Test(arguments: [
    (1, 7, 7, 3, 7, 3), (1, 8, 9, 3, 7, 3), (2, 17, 31, 3, 7, 3), (1, 50, 61, 3, 7, 3), (1, 7, 30, 3, 7, 0),
    (3, 12, 13, 1, 7, 2), (1, 23, 9, 2, 7, 1), (2, 19, 18, 4, 7, 3), (1, 26, 27, 3, 8, 3),
    (1, 9, 40, 4, 8, 0),
    (1, 1, 1, 3, 7, 3), (1, 1, 90, 3, 7, 6),
  ]) func matchesTheOracle(
    _ images: Int, _ height: Int, _ width: Int, _ channels: Int, _ kernel: Int, _ padding: Int
  ) throws {
    var random = SplitMix64(state: UInt64(height * width + channels))
    for (outputs, hasResidual) in [(16, false), (48, true), (64, false)] {
      var model = Model { scope in
        func make(_ name: String) -> Conv2d {
          Conv2d(
            scope[name], channels, outputs, kernel: kernel, stride: 2, padding: padding, bias: hasResidual)
        }
        let (conv, norm, other) = (make("conv"), BatchNorm2d(scope["norm"], outputs), make("other"))
        return Network { x in hasResidual ? relu(norm(conv(x)) + other(x)) : relu(norm(conv(x))) }
      }
      try randomize(&model, &random)
      try check(
        model, self.random([images, channels, height, width], &random),
        "\(images) × \(channels) × \(height) × \(width), kernel \(kernel), padding \(padding), to \(outputs)",
        [(.winograd3, 5e-6)])
    }
  }

  @Test func isTakenWhereItApplies() throws {
    func algorithm(
      _ channels: Int, _ outputs: Int, kernel: Int = 7, stride: Int = 2, groups: Int = 1, dilation: Int = 1
    ) throws -> String {
      var random = SplitMix64(state: 3)
      var model = Model { scope in
        let conv = Conv2d(
          scope["conv"], channels, outputs, kernel: kernel, stride: stride, padding: 3, dilation: dilation,
          groups: groups)
        return Network { conv($0) }
      }
      (model.algorithm, model.engine) = (.winograd3, .native)
      return try model.profile(self.random([1, channels, 30, 30], &random), repetitions: 1)[0].algorithm
    }
    #expect(try algorithm(3, 64) == "winograd3")
    #expect(try algorithm(4, 16, kernel: 8) == "winograd3")
    #expect(try algorithm(5, 64) != "winograd3", "more phases than a vector has lanes")
    #expect(try algorithm(3, 40) != "winograd3", "no whole vectors of outputs")
    #expect(try algorithm(3, 64, kernel: 6) != "winograd3")
    #expect(try algorithm(3, 64, stride: 1) != "winograd3")
    #expect(try algorithm(3, 64, dilation: 2) != "winograd3")
    #expect(try algorithm(4, 64, groups: 2) != "winograd3")
  }
}
