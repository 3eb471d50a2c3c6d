// Packed weights, made when the first plan needs them and shared by all plans of a model.

import Checkpoints
import NN

/// The packed weights of one state dict.
final class WeightStore: Sendable {
  private let stateDict: StateDict
  /// Whether any of the weights is bfloat16.
  let hasBFloat16: Bool
  private let packed = Locked<[Request: PackedWeights]>([:])

  /// A layer whose weights are wanted.
  enum Layer: Sendable {
    /// With the BatchNorm that is folded in, for an algorithm.
    case convolution(Convolution, BatchNormalization?, ConvolutionAlgorithm)
    case linear(FullyConnected)
    /// A BatchNorm that follows no convolution: its factors are the matrix, its shifts the bias.
    case affine(BatchNormalization)
    /// Its weight is the matrix.
    case groupNorm(GroupNormalization)
    /// Its kernel is the matrix.
    case channelConvolution(ChannelConvolution)
  }

  /// What makes packed weights the same.
  private struct Request: Hashable {
    let weight: String
    /// The variance of the BatchNorm that is folded in.
    let norm: String?
    /// For convolutions; direct and im2col take the same matrix.
    let algorithm: ConvolutionAlgorithm?
    let engine: MatrixEngine

    init(_ layer: Layer, _ engine: MatrixEngine) {
      self.engine = engine
      switch layer {
      case .convolution(let convolution, let norm, let algorithm):
        (weight, self.norm) = (convolution.weight, norm?.variance)
        self.algorithm = algorithm == .direct ? .im2col : algorithm
      case .linear(let layer): (weight, norm, algorithm) = (layer.weight, nil, nil)
      case .affine(let norm): (weight, self.norm, algorithm) = (norm.weight, norm.variance, nil)
      case .groupNorm(let norm): (weight, self.norm, algorithm) = (norm.weight, nil, nil)
      case .channelConvolution(let layer): (weight, norm, algorithm) = (layer.weight, nil, nil)
      }
    }
  }

  init(_ stateDict: StateDict) {
    self.stateDict = stateDict
    hasBFloat16 = stateDict.contains { $0.tensor.dtype == .bfloat16 }
  }

  /// The weights of all layers, in their order; those that no plan had yet are packed by all threads.
  func packed(_ layers: [Layer], _ engine: MatrixEngine, _ pool: ThreadPool) throws -> [PackedWeights] {
    let known = packed.withLock { $0 }
    let missing = layers.indices.filter { known[Request(layers[$0], engine)] == nil }
      // The largest first, so that all threads end together.
      .sorted {
        (layers[$0].packedCount(engine, stateDict), $1) > (layers[$1].packedCount(engine, stateDict), $0)
      }
    let results = Locked<[Int: Result<PackedWeights, any Error>]>([:])
    pool.pass { crew in
      crew.run(tasks: missing.count) { [stateDict] task, _ in
        let index = missing[task]
        let result = Result { try layers[index].pack(stateDict, engine) }
        results.withLock { $0[index] = result }
      }
    }
    let made = try results.withLock { $0 }.mapValues { try $0.get() }
    return packed.withLock { packed in
      layers.indices.map { index in
        let request = Request(layers[index], engine)
        let weights = packed[request] ?? made[index] ?? known[request]
        packed[request] = weights
        return weights
      }
    }
    .compactMap { $0 }
  }
}

extension WeightStore.Layer {
  /// Words of its packed weights, without the bias.
  func packedCount(_ engine: MatrixEngine, _ stateDict: StateDict) -> Int {
    switch self {
    case .convolution(let convolution, _, let algorithm):
      let filters = FilterBank(convolution, algorithm, engine)
      if let layout = filters.bfloat16Layout, stateDict[convolution.weight]?.dtype == .bfloat16 {
        return layout.count * convolution.groups
      }
      return filters.packedCount
    case .linear(let layer):
      var layout = WeightLayout(engine, depth: layer.inFeatures, columns: layer.outFeatures)
      layout.isBFloat16 = engine == .native && stateDict[layer.weight]?.dtype == .bfloat16
      return layout.count
    case .affine(let norm): return norm.channels
    case .groupNorm(let norm): return norm.channels
    case .channelConvolution(let convolution): return convolution.kernel
    }
  }

  fileprivate func pack(_ stateDict: StateDict, _ engine: MatrixEngine) throws -> PackedWeights {
    switch self {
    case .convolution(let convolution, let norm, let algorithm):
      try PackedWeights(convolution, norm: norm, FilterBank(convolution, algorithm, engine), stateDict)
    case .linear(let layer): try PackedWeights(layer, engine, stateDict)
    case .affine(let norm): try PackedWeights(norm, stateDict)
    case .groupNorm(let norm): try PackedWeights(weight: norm.weight, bias: norm.bias, stateDict)
    case .channelConvolution(let layer): try PackedWeights(weight: layer.weight, bias: nil, stateDict)
    }
  }
}
