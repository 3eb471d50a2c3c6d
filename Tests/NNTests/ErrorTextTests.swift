// What is said of inputs, layers and exports that can't be, word for word.

import Checkpoints
import NN
import TestSupport
import Testing

@Suite struct ErrorTextTests {
  typealias Network = @Sendable (_ layer: Scope, _ x: Value) -> Value

  private static let misfits: [(Network, input: [Int], text: String)] = [
    ({ Conv2d($0, 4, 8, kernel: 1)($1) }, [1, 3, 8, 8], "[1, 3, 8, 8] arrives where [N, 4, H, W] is due."),
    ({ MaxPool2d($0, kernel: 2)(flatten($1)) }, [1, 3, 2, 2], "[1, 12] arrives where [N, C, H, W] is due."),
    ({ Linear($0, 5, 2)(flatten($1)) }, [1, 3, 2, 2], "[1, 12] arrives where [N, 5] is due."),
    (
      { Conv2d($0, 6, 8, kernel: 1, groups: 4)($1) }, [1, 6, 8, 8],
      "6 and 8 channels can't be divided into 4 groups."
    ),
    ({ GroupNorm($0, 6, groups: 4)($1) }, [1, 6, 2, 2], "6 channels can't be divided into 4 groups."),
    (
      { Conv2d($0, 6, 6, kernel: 3, stride: 0)($1) }, [1, 6, 9, 9],
      "a window needs a kernel, a stride and a dilation of at least 1, and no negative padding."
    ),
    (
      { MaxPool2d($0, kernel: 5)($1) }, [1, 6, 4, 9],
      "4 × 9 is smaller than the window of 5 × 5."
    ),
    (
      { AvgPool2d($0, kernel: 3, padding: 2)($1) }, [1, 6, 9, 9],
      "a padding of 2 is more than half of the window of 3 × 3."
    ),
    (
      { BlurPool2d($0)($1) }, [1, 6, 1, 8],
      "1 × 8 is too small to be reflected; it takes at least 2 × 2."
    ),
    (
      { PaddedShortcut($0, stride: 2, inChannels: 6, outChannels: 4)($1) }, [1, 6, 2, 2],
      "a shortcut from 6 channels to 4 can't be made of zeros."
    ),
  ]

  @Test(arguments: misfits) func layersSayWhatDoesNotFit(_ network: Network, _ input: [Int], _ text: String) {
    let graph = Graph { network(Scope()["layer"], $0) }
    #expect(
      errorText { try graph.shapes(input: input) } == "the input \(input) does not fit at \"layer\": \(text)")
  }

  private static let unnamed: [(Network, input: [Int], text: String)] = [
    ({ $1 }, [1, 0, 8, 8], "the input has shape [1, 0, 8, 8]; every size must be at least 1."),
    (
      { $1 + Conv2d($0, 3, 4, kernel: 1)($1) }, [1, 3, 2, 2],
      "the input [1, 3, 2, 2] does not fit: [1, 3, 2, 2] and [1, 4, 2, 2] can't be added."
    ),
    (
      { $1 * $1 }, [1, 2, 1, 3],
      "the input [1, 2, 1, 3] does not fit: [1, 2, 1, 3] can't be multiplied by [1, 2, 1, 3]; "
        + "that takes a gate [N, C, 1, 1]."
    ),
    (
      { EfficientChannelAttention($0, kernel: 4)($1) }, [1, 6, 2, 2],
      "the input [1, 6, 2, 2] does not fit: a kernel of 4 channels has no middle; take an odd number."
    ),
  ]

  @Test(arguments: unnamed) func inputsAndSumsSayWhatDoesNotFit(
    _ network: Network, _ input: [Int], _ text: String
  ) {
    let graph = Graph { network(Scope()["layer"], $0) }
    #expect(errorText { try graph.shapes(input: input) } == text)
  }

  private static let exports: [(Network, size: [Int], text: String)] = [
    (
      { AdaptiveAvgPool2d($0, (3, 4))($1) }, [],
      "adaptive pooling to 3 × 4 is exported for inputs of a fixed size only: give one."
    ),
    (
      { AdaptiveAvgPool2d($0, (5, 4))($1) }, [12, 20],
      "adaptive pooling from 12 × 20 to 5 × 4 has windows of several sizes, for which ONNX has no operator."
    ),
    (
      { AvgPool2dSame($0, kernel: 2, stride: 3)($1) }, [],
      "an average over windows of 2 with a stride of 3 is not exported."
    ),
    (
      { MaxPool2d($0, kernel: 3, padding: 2)($1) }, [],
      "a padding of 2 is more than half of the window of 3 × 3."
    ),
    (
      { BlurPool2d($0)(flatten($1)) }, [],
      "a blur is exported for a known number of channels only."
    ),
    ({ Conv2d($0, 3, 4, kernel: 1)($1) }, [], "there is no parameter \"layer.weight\"."),
  ]

  @Test(arguments: exports) func exportsSayWhatONNXCannotHold(
    _ network: Network, _ size: [Int], _ text: String
  ) {
    let graph = Graph { network(Scope()["layer"], $0) }
    var options = ONNXOptions()
    if size.count == 2 { options.size = (size[0], size[1]) }
    #expect(
      errorText { try graph.onnx(StateDict(), options: options) }
        == "\"layer\" can't be exported: \(text)")
  }

  @Test func exportsSayWhichParameterDoesNotFit() throws {
    let graph = Graph { Conv2d(Scope()["layer"], 3, 1, kernel: 1, bias: false)($0) }
    func text(_ weight: Tensor) -> String {
      errorText {
        var stateDict = StateDict()
        try stateDict.append("layer.weight", weight)
        return try graph.onnx(stateDict)
      }
    }
    #expect(
      text(try Tensor(shape: [1, 3], [1, 2, 3]))
        == "\"layer\" can't be exported: \"layer.weight\" has shape [1, 3] where [1, 3, 1, 1] is due.")
    let complex = Storage(Bytes([UInt8](repeating: 0, count: 24)))
    #expect(
      text(try Tensor(dtype: .complex64, shape: [1, 3, 1, 1], storage: complex))
        == "\"layer\" can't be exported: tensor \"layer.weight\": "
        + "is complex64, which is not converted to float32.")
    let wide = Graph { Conv2d(Scope()["layer"], 4, 1, kernel: 1)($0) }
    #expect(
      errorText { try wide.onnx(StateDict()) }
        == "\"layer\" can't be exported: 3 channels arrive where 4 are due.")
  }
}
