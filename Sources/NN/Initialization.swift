// The values of parameters before weights are loaded, as torchvision's ResNet sets them. Each
// parameter draws from a generator of its own, seeded by its name: the values depend on nothing
// but the seed.

import Checkpoints

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// How a parameter is filled when no weights are loaded.
public enum Initialization: Sendable, Equatable {
  /// All elements zero.
  case zeros
  /// All elements one.
  case ones
  /// An int64 zero: a counter.
  case count
  /// Normal with variance 2 / (output channels · kernel area): He et al. 2015, arXiv 1502.01852, fan-out.
  case kaimingNormalFanOut
  /// Uniform between ±1/√inputs, as torch.nn.Linear.
  case uniformFanIn(inputs: Int)
}

extension Parameter {
  /// The initial tensor; its values are made when they are first asked for.
  package func initialTensor(seed: UInt64) throws(CheckpointError) -> Tensor {
    let elements = shape.reduce(1, *)
    let storage = Storage(
      .generated { self.initialBytes(elements: elements, seed: seed) }, byteCount: elements * dtype.size,
      origin: "initial values")
    return try Tensor(dtype: dtype, shape: shape, storage: storage)
  }

  private func initialBytes(elements: Int, seed: UInt64) -> Bytes {
    var random = SplitMix64(state: name.utf8.reduce(seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
    let value: () -> Float
    switch initialization {
    case .count: return Bytes([UInt8](repeating: 0, count: elements * dtype.size))
    case .zeros: value = { 0 }
    case .ones: value = { 1 }
    case .kaimingNormalFanOut:
      let fanOut = shape.isEmpty ? 1 : shape[0] * shape.dropFirst(2).reduce(1, *)
      let deviation = (2 / Double(max(fanOut, 1))).squareRoot()
      value = { Float(deviation * random.normal()) }
    case .uniformFanIn(let inputs):
      let bound = 1 / Double(max(inputs, 1)).squareRoot()
      value = { Float(bound * (2 * random.uniform() - 1)) }
    }
    return Bytes(count: elements * MemoryLayout<Float>.size) { target in
      for index in 0..<elements {
        target.storeBytes(of: value(), toByteOffset: index * MemoryLayout<Float>.size, as: Float.self)
      }
    }
  }
}

/// A small, fast generator with a fixed sequence: Steele et al. 2014, "Fast splittable pseudorandom
/// number generators". Swift's own generator can't be seeded.
package struct SplitMix64: RandomNumberGenerator {
  package var state: UInt64

  package init(state: UInt64) { self.state = state }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Between 0 (included) and 1.
  package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// Standard normal, by Box and Muller's method.
  package mutating func normal() -> Double {
    let radius = (-2 * log(1 - uniform())).squareRoot()
    return radius * cos(2 * Double.pi * uniform())
  }
}
