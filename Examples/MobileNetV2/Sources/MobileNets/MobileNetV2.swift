// torchvision's MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381), with torchvision's names.

public import Inference

/// Convolution, BatchNorm and ReLU6, as torchvision's Conv2dNormActivation.
func convolution(
  _ scope: Scope, _ inputs: Int, _ outputs: Int, kernel k: Int = 3, stride: Int = 1, groups: Int = 1
) -> Sequential {
  let conv = {
    Conv2d($0, inputs, outputs, kernel: k, stride: stride, padding: k / 2, groups: groups, bias: false)
  }
  return Sequential(scope, [conv, { BatchNorm2d($0, outputs) }, { ReLU6($0) }])
}

struct InvertedResidual: Module {
  let path: String, conv: Sequential, addsInput: Bool

  init(_ scope: Scope, _ inputs: Int, _ outputs: Int, stride: Int, expansion: Int) {
    path = scope.path
    addsInput = stride == 1 && inputs == outputs
    let hidden = inputs * expansion
    var layers: [(Scope) -> any Module] = []
    if expansion > 1 { layers.append { convolution($0, inputs, hidden, kernel: 1) } }
    layers.append { convolution($0, hidden, hidden, stride: stride, groups: hidden) }
    layers.append { Conv2d($0, hidden, outputs, kernel: 1, bias: false) }
    layers.append { BatchNorm2d($0, outputs) }
    conv = Sequential(scope["conv"], layers)
  }

  func forward(_ x: Value) -> Value { addsInput ? x + conv(x) : conv(x) }
}

public struct MobileNetV2: Module {
  public let path: String
  let features: Sequential, avgpool: AdaptiveAvgPool2d, classifier: Sequential

  public init(_ scope: Scope, classes: Int = 1000) {
    path = scope.path
    var layers: [(Scope) -> any Module] = [{ convolution($0, 3, 32, stride: 2) }]
    var channels = 32
    for (expansion, outputs, count, stride) in [
      (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
      (6, 320, 1, 1),
    ] {
      for stride in [stride] + Array(repeating: 1, count: count - 1) {
        let inputs = channels
        layers.append { InvertedResidual($0, inputs, outputs, stride: stride, expansion: expansion) }
        channels = outputs
      }
    }
    layers.append { convolution($0, 320, 1280, kernel: 1) }
    features = Sequential(scope["features"], layers)
    avgpool = AdaptiveAvgPool2d(scope["avgpool"])
    classifier = Sequential(scope["classifier"], [{ Dropout($0, p: 0.2) }, { Linear($0, 1280, classes) }])
  }

  public func forward(_ x: Value) -> Value { classifier(flatten(avgpool(features(x)))) }
}
