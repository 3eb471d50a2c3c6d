// The residual network of He et al. 2015 (arXiv 1512.03385), as PyTorch's classic tutorial and
// torchvision write it: the same modules, names and order.

public import Checkpoints
public import Inference
public import NN

/// A ResNet with weights.
///
/// ```swift
/// var model = try ResNet(matching: stateDict)
/// try model.load(stateDict)
/// let logits = try model(images)      // [N, 3, H, W] → [N, classes]
/// ```
public typealias ResNet = Model<ResidualNetwork>

/// Two 3×3 convolutions and a shortcut around them.
public struct BasicBlock: Module {
  public let path: String
  let conv1: Conv2d, bn1: BatchNorm2d
  let conv2: Conv2d, bn2: BatchNorm2d
  let downsample: Sequential?

  init(_ scope: Scope, inPlanes: Int, planes: Int, stride: Int) {
    path = scope.path
    conv1 = Conv2d(scope["conv1"], inPlanes, planes, kernel: 3, stride: stride, padding: 1, bias: false)
    bn1 = BatchNorm2d(scope["bn1"], planes)
    conv2 = Conv2d(scope["conv2"], planes, planes, kernel: 3, padding: 1, bias: false)
    bn2 = BatchNorm2d(scope["bn2"], planes)
    downsample = makeDownsample(scope, inPlanes: inPlanes, outPlanes: planes, stride: stride)
  }

  public func forward(_ x: Value) -> Value {
    var out = relu(bn1(conv1(x)))
    out = bn2(conv2(out))
    return relu(out + (downsample?(x) ?? x))
  }
}

/// 1×1 to fewer channels, 3×3 with the stride and perhaps in groups, 1×1 to four times the planes, and a
/// shortcut around them.
public struct Bottleneck: Module {
  public let path: String
  let conv1: Conv2d, bn1: BatchNorm2d
  let conv2: Conv2d, bn2: BatchNorm2d
  let conv3: Conv2d, bn3: BatchNorm2d
  let downsample: Sequential?

  init(_ scope: Scope, inPlanes: Int, planes: Int, width: Int, stride: Int, groups: Int) {
    path = scope.path
    let outPlanes = planes * Architecture.Block.bottleneck.expansion
    conv1 = Conv2d(scope["conv1"], inPlanes, width, kernel: 1, bias: false)
    bn1 = BatchNorm2d(scope["bn1"], width)
    conv2 = Conv2d(
      scope["conv2"], width, width, kernel: 3, stride: stride, padding: 1, groups: groups, bias: false)
    bn2 = BatchNorm2d(scope["bn2"], width)
    conv3 = Conv2d(scope["conv3"], width, outPlanes, kernel: 1, bias: false)
    bn3 = BatchNorm2d(scope["bn3"], outPlanes)
    downsample = makeDownsample(scope, inPlanes: inPlanes, outPlanes: outPlanes, stride: stride)
  }

  public func forward(_ x: Value) -> Value {
    var out = relu(bn1(conv1(x)))
    out = relu(bn2(conv2(out)))
    out = bn3(conv3(out))
    return relu(out + (downsample?(x) ?? x))
  }
}

/// The shortcut's 1×1 convolution and BatchNorm, where the block changes size or channels.
private func makeDownsample(_ scope: Scope, inPlanes: Int, outPlanes: Int, stride: Int) -> Sequential? {
  guard stride != 1 || inPlanes != outPlanes else { return nil }
  return Sequential(
    scope["downsample"],
    [
      { Conv2d($0, inPlanes, outPlanes, kernel: 1, stride: stride, bias: false) },
      { BatchNorm2d($0, outPlanes) },
    ])
}

/// The whole network: stem, four stages, pooling, classifier.
public struct ResidualNetwork: Module {
  public let path: String
  /// What it was built from.
  public let architecture: Architecture
  let conv1: Conv2d, bn1: BatchNorm2d, maxpool: MaxPool2d
  let layer1: Sequential, layer2: Sequential, layer3: Sequential, layer4: Sequential
  let avgpool: any Module, fc: Linear

  init(_ scope: Scope, _ architecture: Architecture) {
    path = scope.path
    self.architecture = architecture
    let width = architecture.width
    conv1 = Conv2d(scope["conv1"], 3, width, kernel: 7, stride: 2, padding: 3, bias: false)
    bn1 = BatchNorm2d(scope["bn1"], width)
    maxpool = MaxPool2d(scope["maxpool"], kernel: 3, stride: 2, padding: 1)

    var inPlanes = width
    /// `layers[stage]` blocks: the first carries the stride and changes the planes.
    func makeLayer(_ stage: Int, stride: Int) -> Sequential {
      let planes = width << stage
      let blocks = (0..<architecture.layers[stage]).map { index in
        let blockInPlanes = index == 0 ? inPlanes : planes * architecture.block.expansion
        let blockStride = index == 0 ? stride : 1
        return { (scope: Scope) -> any Module in
          switch architecture.block {
          case .basic: BasicBlock(scope, inPlanes: blockInPlanes, planes: planes, stride: blockStride)
          case .bottleneck:
            Bottleneck(
              scope, inPlanes: blockInPlanes, planes: planes,
              width: architecture.middleChannels(planes: planes),
              stride: blockStride, groups: architecture.groups)
          }
        }
      }
      inPlanes = planes * architecture.block.expansion
      return Sequential(scope["layer\(stage + 1)"], blocks)
    }
    layer1 = makeLayer(0, stride: 1)
    layer2 = makeLayer(1, stride: 2)
    layer3 = makeLayer(2, stride: 2)
    layer4 = makeLayer(3, stride: 2)

    switch architecture.head {
    case .adaptive: avgpool = AdaptiveAvgPool2d(scope["avgpool"])
    case .tutorial: avgpool = AvgPool2d(scope["avgpool"], kernel: 7, stride: 1)
    }
    fc = Linear(scope["fc"], architecture.features, architecture.classes)
  }

  public func forward(_ x: Value) -> Value {
    var x = maxpool(relu(bn1(conv1(x))))
    x = layer4(layer3(layer2(layer1(x))))
    return fc(flatten(avgpool(x)))
  }
}

extension Model where Root == ResidualNetwork {
  /// A network with initial weights: Kaiming-normal convolutions, BatchNorm 1 and 0.
  public init(_ architecture: Architecture, seed: UInt64 = 0) {
    self.init(seed: seed) { ResidualNetwork($0, architecture) }
  }

  /// The network that a state dict is for; the weights themselves are not loaded yet.
  ///
  /// - Throws: ``RecognitionError`` when the keys and shapes are no ResNet's.
  public init(matching stateDict: StateDict) throws(RecognitionError) {
    self.init(try Architecture(matching: stateDict))
  }

  /// What the network was built from.
  public var architecture: Architecture { root.architecture }
}
