// Packed weights, made when the first plan needs them and shared by all plans of a model.

import Checkpoints
import NN
import Synchronization

/// The packed weights of one state dict.
final class WeightStore: Sendable {
  private let stateDict: StateDict
  private let packed = Mutex<[Key: PackedWeights]>([:])

  private struct Key: Hashable {
    let weight: String
    /// The variance of the BatchNorm that is folded in.
    let norm: String?
  }

  init(_ stateDict: StateDict) { self.stateDict = stateDict }

  func packed(_ convolution: Convolution, _ norm: BatchNormalization?) throws -> PackedWeights {
    try weights(Key(weight: convolution.weight, norm: norm?.variance)) {
      try PackedWeights(convolution, norm: norm, stateDict)
    }
  }

  func packed(_ layer: FullyConnected) throws -> PackedWeights {
    try weights(Key(weight: layer.weight, norm: nil)) { try PackedWeights(layer, stateDict) }
  }

  /// The factors of a BatchNorm that follows no convolution.
  func affine(_ norm: BatchNormalization) throws -> (scale: FloatBuffer, shift: FloatBuffer) {
    try PackedWeights.affine(norm, stateDict)
  }

  private func weights(_ key: Key, _ pack: () throws -> PackedWeights) throws -> PackedWeights {
    if let weights = packed.withLock({ $0[key] }) { return weights }
    let weights = try pack()
    packed.withLock { $0[key] = weights }
    return weights
  }
}
