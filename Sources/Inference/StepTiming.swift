// How long the steps of a plan take, and what they are called for people.

import NN

/// A step of a plan and how long it took in each of several passes. Where threads take images of their own, it is how long it
/// took for the first share of them.
package struct StepTiming: Sendable {
  /// The layer's path, or the operation.
  package let name: String
  /// The node of the graph whose result it gives.
  package let node: Int
  /// The shapes of input and output, without the batch.
  package let shapes: (input: [Int], output: [Int])
  /// The convolution's algorithm, or nothing.
  package let algorithm: String
  /// Images that it computes at once.
  package let images: Int
  /// Multiplications and additions of a pass, as the definitions have them.
  package let operationCount: Int
  package var milliseconds: [Double] = []

  /// The steps of a plan, in order.
  static func all(of outline: PlanOutline, _ graph: Graph) -> [StepTiming] {
    outline.segments.flatMap { segment in
      segment.steps.map { step in
        var (name, algorithm) = (graph.name(of: step.output) ?? "", "")
        switch step.kind {
        case .convolution(let convolution, let layer, _):
          algorithm = convolution.algorithm.rawValue
          if case .convolution(let convolution, _, _) = layer {
            name = String(convolution.weight.dropLast(".weight".count))
          }
        case .linear(let layer, _): name = String(layer.weight.dropLast(".weight".count))
        case .affine: name = name.isEmpty ? "batch norm" : name
        case .groupNorm(_, let norm, _): name = String(norm.weight.dropLast(".weight".count))
        case .channelConvolution(let layer): name = String(layer.weight.dropLast(".weight".count))
        case .add: name = "add"
        case .gate: name = name.isEmpty ? "gate" : name
        case .sigmoid: name = "sigmoid"
        case .subsample: name = name.isEmpty ? "shortcut" : name
        case .limit(let bounds): name = bounds == .relu6 ? "relu6" : "relu"
        case .flatten: name = "flatten"
        case .maxPool, .averagePool, .squeeze, .adaptiveAveragePool, .blurPool:
          name = name.isEmpty ? "pooling" : name
        }
        let shapes = outline.shapes
        return StepTiming(
          name: name, node: step.output,
          shapes: (Array(shapes[step.inputs[0]].dropFirst()), Array(shapes[step.output].dropFirst())),
          algorithm: algorithm, images: segment.images,
          operationCount: step.operationCount(channels: shapes[step.output][1]) * outline.shares.images)
      }
    }
  }
}
