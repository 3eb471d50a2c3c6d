// A plan: everything about a forward pass that is known before the numbers are. Operations are
// fused, algorithms chosen and buffers assigned in its outline, which needs no weights; with weights
// packed it can run (PlanRun.swift), and allocates nothing but the results.

import Checkpoints
import NN
import Vectors

/// What a plan is compiled for besides its graph and weights.
struct PlanOptions: Hashable {
  /// The input's shape, `[N, C, H, W]`.
  let shape: [Int]
  /// The nodes whose results are wanted.
  let outputs: [Int]
  var threads: Int
  let accuracy: Accuracy
  /// The algorithm of every convolution that it applies to; nil for the cheapest.
  let algorithm: ConvolutionAlgorithm?
  let engine: MatrixEngine
  /// Whether weights are bfloat16 in the file, and so in memory where they are multiplied as they are.
  let hasBFloat16: Bool
}

/// A compiled graph for one input shape, with weights.
final class Plan: Sendable {
  let outline: PlanOutline
  /// For each node that is a layer, its weights.
  let weights: [Int: PackedWeights]
  let pool: ThreadPool
  let kernels = VectorKernels.chosen
  let engine: MatrixEngine
  /// What passes that are over have worked in, one for each share.
  let idleWorkspaces = Locked<[[Workspace]]>([])

  init(_ graph: Graph, _ options: PlanOptions, weights: WeightStore) throws {
    let outline = try PlanOutline(graph, options)
    let pool = ThreadPool.withThreads(options.threads)
    let layers = outline.layers
    let packed = try weights.packed(layers.map(\.layer), options.engine, pool)
    self.weights = Dictionary(uniqueKeysWithValues: zip(layers.map(\.node), packed))
    self.outline = outline
    self.pool = pool
    engine = options.engine
  }
}

/// The memory of one share of a pass at a time.
final class Workspace: Sendable {
  let buffers: [FloatBuffer]
  let scratch: FloatBuffer

  /// - Throws: ``InputError`` where the system does not give as much memory.
  init(_ outline: PlanOutline) throws(InputError) {
    func reserve(_ count: Int) throws(InputError) -> FloatBuffer {
      if let buffer = FloatBuffer(reserving: count) { return buffer }
      throw InputError(
        "a pass on images of shape \(outline.shapes[0]) needs \(count * MemoryLayout<Float>.stride) bytes at once, which the "
          + "system does not give: take smaller images, or fewer at once.")
    }
    var buffers: [FloatBuffer] = []
    for count in outline.buffers.sizes { buffers.append(try reserve(count)) }
    self.buffers = buffers
    scratch = try reserve(outline.scratchCount)
  }
}

/// What running a model needs beside its tensors, in bytes.
public struct PlanMemory: Sendable {
  /// Packed and transformed weights, which all plans of a model share.
  public let weights: Int
  /// Results on the way and scratch, for each pass that runs at the same time.
  public let workspace: Int
}
