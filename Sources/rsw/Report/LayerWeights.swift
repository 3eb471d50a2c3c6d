// What the weights of a network are like, layer by layer: how they are distributed, how many are zeros, which channels
// say nothing, and where the numbers of a normalisation lie.

import Checkpoints
import Dispatch
import NN
import ResNets

/// The numbers of a layer's tensors.
struct LayerWeights: Sendable {
  /// The weight, whatever kind of layer it is.
  var weight: TensorStatistics?
  /// The other tensors of a normalisation.
  var bias: TensorStatistics?, mean: TensorStatistics?, variance: TensorStatistics?
  /// Channels that are the same for every image.
  var deadChannels: Int?
  /// NaN and infinities in all of them.
  var nonFinite: Int {
    [weight, bias, mean, variance].reduce(0) { $0 + ($1.map { $0.nans + $0.infinities } ?? 0) }
  }

  /// The parts of a histogram.
  private static let parts = 24

  /// Looks at all layers, on all cores.
  ///
  /// - Throws: the error of the first tensor that can't be read.
  static func all(of operations: [Operation], _ stateDict: StateDict) throws(CheckpointError)
    -> [LayerWeights]
  {
    let results = Locked([Result<LayerWeights, CheckpointError>?](repeating: nil, count: operations.count))
    DispatchQueue.concurrentPerform(iterations: operations.count) { index in
      let result = Result { () throws(CheckpointError) in try LayerWeights(operations[index], stateDict) }
      results.withLock { $0[index] = result }
    }
    var weights: [LayerWeights] = []
    for result in results.withLock({ $0 }) { if let result { weights.append(try result.get()) } }
    return weights
  }

  private init(_ operation: Operation, _ stateDict: StateDict) throws(CheckpointError) {
    func statistics(_ name: String?) throws(CheckpointError) -> TensorStatistics? {
      guard let name, let tensor = stateDict[name] else { return nil }
      do throws(CheckpointError) {
        return try TensorStatistics(tensor, parts: LayerWeights.parts)
      } catch {
        throw error.forTensor(name)
      }
    }
    switch operation {
    case .conv2d(let layer):
      weight = try statistics(layer.weight)
      bias = try statistics(layer.bias)
      deadChannels = try stateDict[layer.weight]?.zeroRows().count
    case .linear(let layer):
      weight = try statistics(layer.weight)
      bias = try statistics(layer.bias)
    case .channelConvolution(let layer): weight = try statistics(layer.weight)
    case .batchNorm2d(let norm):
      weight = try statistics(norm.weight)
      bias = try statistics(norm.bias)
      mean = try statistics(norm.mean)
      variance = try statistics(norm.variance)
      deadChannels = weight?.zeros
    case .groupNorm(let norm):
      weight = try statistics(norm.weight)
      bias = try statistics(norm.bias)
      deadChannels = weight?.zeros
    default: break
    }
  }
}
