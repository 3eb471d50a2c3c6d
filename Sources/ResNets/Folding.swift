// A ResNet without its BatchNorms: an architecture of its own, whose convolutions have biases.

import Checkpoints
public import Inference
import NN

extension Model where Root == ResidualNetwork {
  /// The same network with every BatchNorm folded into the convolution before it.
  ///
  /// It gives the same results but for rounding. Its state dict has `conv1.weight`, `conv1.bias` and so on, all that changed
  /// in float32, and is recognised as any other.
  ///
  /// - Throws: `InputError` when there is no BatchNorm, or one that follows no convolution; `CheckpointError` when weights
  ///   can't be read.
  public func foldingBatchNorm() throws -> ResNet {
    switch architecture.normalization {
    case .batch: break
    case .group:
      throw InputError(
        "there is no BatchNorm to fold: the network has GroupNorm, whose statistics are those of each image.")
    case .folded: throw InputError("there is nothing to fold: it was folded before.")
    }
    let (folded, weights) = try graph.foldingBatchNorm(stateDict)
    for case .batchNorm2d(let norm) in folded.nodes.map(\.operation) {
      throw InputError("\(quoted(norm.weight)) belongs to a BatchNorm that follows no convolution.")
    }
    var architecture = architecture
    (architecture.normalization, architecture.hasBiases) = (.folded, false)
    architecture.eps = Architecture.usualEps
    var model = ResNet(architecture)
    (model.threadCount, model.accuracy) = (threadCount, accuracy)
    try model.load(weights)
    return model
  }
}
