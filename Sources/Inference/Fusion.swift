// The first pass over a graph: a convolution takes the BatchNorm, residual addition and ReLU that
// follow it along, so that each is done while its numbers are at hand. BatchNorm becomes part of
// the weights; addition and ReLU become the epilogue of the matrix product. Group normalisation and a gate
// take addition and ReLU into their pass over the pixels.

import NN
import Vectors

/// One or more nodes of a graph that are computed together.
struct FusedOperation {
  /// The first node's operation.
  let operation: Operation
  /// The nodes whose results it takes; without the residual.
  let inputs: [Int]
  /// The node whose result it gives: the last of those it fuses.
  var output: Int
  /// Normalisation that goes into the weights.
  var norm: BatchNormalization?
  /// The node that is added before the ReLU.
  var residual: Int?
  /// The activation at the end.
  var bounds = Bounds.none
}

extension Graph {
  /// For each node those that take its result.
  var consumers: [[Int]] {
    var consumers = [[Int]](repeating: [], count: nodes.count)
    for (index, node) in nodes.enumerated() {
      for input in node.inputs { consumers[input].append(index) }
    }
    return consumers
  }

  /// The operations to compute, in an order in which every input comes before its use.
  ///
  /// - Parameter kept: nodes whose own results are wanted, so that they are not fused away.
  func fused(keeping kept: Set<Int>) -> [FusedOperation] {
    let consumers = consumers
    /// The one node that uses `node`, when nobody else may see it.
    func soleConsumer(_ node: Int) -> Int? {
      consumers[node].count == 1 && !kept.contains(node) ? consumers[node][0] : nil
    }

    var taken: Set<Int> = []
    var operations: [FusedOperation] = []
    for (index, node) in nodes.enumerated() where !taken.contains(index) {
      var fused = FusedOperation(operation: node.operation, inputs: node.inputs, output: index)
      func next() -> (index: Int, node: Node)? {
        guard let next = soleConsumer(fused.output), !taken.contains(next) else { return nil }
        return (next, nodes[next])
      }
      if case .conv2d = node.operation {
        if let (index, node) = next(), case .batchNorm2d(let norm) = node.operation {
          fused.norm = norm
          fused.output = index
          taken.insert(index)
        }
      }
      if node.operation.takesResidual, let (index, node) = next(), node.operation == .add,
        let other = node.inputs.first(where: { $0 != fused.output })
      {
        fused.residual = other
        fused.output = index
        taken.insert(index)
      }
      if node.operation.hasEpilogue, let (index, node) = next(), let bounds = node.operation.bounds {
        fused.bounds = bounds
        fused.output = index
        taken.insert(index)
      }
      operations.append(fused)
    }
    // Everything an operation takes stands before the last node it fuses.
    return operations.sorted { $0.output < $1.output }
  }
}

extension Operation {
  /// What an activation limits its input to; nil for every other operation.
  var bounds: Bounds? {
    switch self {
    case .relu: .relu
    case .relu6: .relu6
    default: nil
    }
  }

  /// Whether a residual can be added on the way.
  fileprivate var takesResidual: Bool {
    switch self {
    case .conv2d, .groupNorm, .multiply: true
    default: false
    }
  }

  /// Whether an activation can be done on the way.
  fileprivate var hasEpilogue: Bool {
    switch self {
    case .conv2d, .linear, .batchNorm2d, .groupNorm, .add, .multiply: true
    default: false
    }
  }
}
