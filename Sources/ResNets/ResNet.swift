// The residual network of He et al. 2015 (arXiv 1512.03385), as PyTorch's classic tutorial and
// torchvision write it, with what its successors changed, as timm writes it: the same modules, names and order.
// The blocks are in Blocks.swift.

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

/// The whole network: stem, stages, pooling, classifier.
public struct ResidualNetwork: Module {
  public let path: String
  /// What it was built from.
  public let architecture: Architecture
  let conv1: any Module, bn1: any Module, maxpool: any Module
  let stages: [Sequential]
  let avgpool: any Module, fc: Linear?

  init(_ scope: Scope, _ architecture: Architecture) {
    path = scope.path
    self.architecture = architecture
    let parts = Parts(architecture)
    let width = parts.channels(scope["conv1"], architecture.stemChannels)
    conv1 = parts.stem(scope["conv1"], width)
    bn1 = parts.norm(scope["bn1"], width)
    maxpool = parts.stemPool(scope["maxpool"], width)

    var inPlanes = width
    var dilation = 1
    /// `layers[stage]` blocks: the first carries the stride, or the dilation in its place, and changes the planes.
    func makeLayer(_ stage: Int) -> Sequential {
      let isDilated = architecture.dilatedStages.contains(stage + 1)
      let firstDilation = dilation
      if isDilated { dilation *= 2 }
      let blocks = (0..<architecture.layers[stage]).map { index in
        { (scope: Scope) -> any Module in
          let isFirst = index == 0
          let block = parts.block(
            scope,
            BlockShape(
              inPlanes: inPlanes, stage: stage, stride: isFirst && stage > 0 && !isDilated ? 2 : 1,
              dilation: dilation, firstDilation: isFirst ? firstDilation : dilation, isFirst: isFirst))
          inPlanes = block.outPlanes
          return block
        }
      }
      return Sequential(scope["layer\(stage + 1)"], blocks)
    }
    stages = architecture.layers.indices.map(makeLayer)

    switch architecture.head {
    case .adaptive: avgpool = AdaptiveAvgPool2d(scope["avgpool"])
    case .tutorial: avgpool = AvgPool2d(scope["avgpool"], kernel: 7, stride: 1)
    }
    fc = architecture.classes.map { Linear(scope["fc"], inPlanes, $0) }
  }

  public func forward(_ x: Value) -> Value {
    let stem = maxpool(relu(bn1(conv1(x))))
    let features = flatten(avgpool(stages.reduce(stem) { x, stage in stage(x) }))
    return fc?(features) ?? features
  }
}

extension Model where Root == ResidualNetwork {
  /// A network with initial weights: Kaiming-normal convolutions, BatchNorm 1 and 0.
  public init(_ architecture: Architecture, seed: UInt64 = 0) {
    self.init(seed: seed) { ResidualNetwork($0, architecture) }
  }

  /// The network that a state dict is for; the weights themselves are not loaded yet.
  ///
  /// - Parameter classes: how many classes it is to have, where that is not what the state dict was trained for;
  ///   load with `ignoring: .head` then.
  /// - Throws: ``RecognitionError`` when the keys and shapes are no ResNet's.
  public init(matching stateDict: StateDict, classes: Int? = nil) throws(RecognitionError) {
    var architecture = try Recognition(stateDict).architecture
    if let classes { architecture.classes = classes }
    self.init(architecture)
  }

  /// What the network was built from.
  public var architecture: Architecture { root.architecture }
}
