// Tensors that are more than a view of one storage: quantized, sparse and nested ones, and those
// that have a shape only. What they are made of is kept as it is; `Tensor.dense` computes the rest.

/// How a tensor keeps its elements; raw values are PyTorch's names.
public enum Layout: String, Sendable, CustomStringConvertible {
  /// A view of one storage.
  case strided
  /// Coordinates and values.
  case sparseCOO = "sparse_coo"
  /// Compressed rows of values.
  case sparseCSR = "sparse_csr"
  /// Compressed columns of values.
  case sparseCSC = "sparse_csc"
  /// Compressed rows of blocks.
  case sparseBSR = "sparse_bsr"
  /// Compressed columns of blocks.
  case sparseBSC = "sparse_bsc"
  /// Tensors of different shapes in one buffer, each with strides and an offset.
  case nested
  /// Tensors that differ in their first dimension, one after the other.
  case jagged
  /// A shape without elements.
  case meta

  /// PyTorch's name, such as `sparse_coo`.
  public var description: String { rawValue }

  /// Why the elements can't be read as they are.
  var error: CheckpointError {
    switch self {
    case .meta:
      CheckpointError(
        .noElements,
        "was saved from the meta device: the file holds its shape, but no elements. Save real weights.")
    case .nested, .jagged:
      CheckpointError(
        .notRepresentable, "is a nested tensor, whose parts have different shapes. Take its parts one by one."
      )
    default:
      CheckpointError(.notRepresentable, "is a \(self) tensor. Make it dense first (convert --dense).")
    }
  }
}

/// What the integers of a quantized tensor stand for: value = (integer − zero point) · scale.
public enum Quantization: Sendable, Equatable {
  /// One scale for all elements.
  case perTensor(scale: Double, zeroPoint: Int)
  /// A scale and zero point for each index along `axis`; `precision` is the type that PyTorch computes in.
  case perChannel(scales: [Double], zeroPoints: [Double], axis: Int, precision: DType)

  /// - Throws: `.malformed` when there are not as many scales as channels.
  func check(_ tensor: Tensor) throws(CheckpointError) {
    guard tensor.dtype.isQuantized else {
      throw CheckpointError(.malformed, "is \(tensor.dtype), which can't be quantized. Get the file again.")
    }
    guard case .perChannel(let scales, let zeroPoints, let axis, _) = self else { return }
    guard tensor.shape.indices.contains(axis), scales.count == tensor.shape[axis],
      zeroPoints.count == scales.count
    else {
      throw CheckpointError(
        .malformed,
        "is quantized with \(scales.count) scales and \(zeroPoints.count) zero points along axis \(axis), "
          + "which its shape \(tensor.shape) does not have. Get the file again.")
    }
  }
}

extension Tensor {
  /// What a tensor has that is no view of one storage.
  final class Form: Sendable {
    let layout: Layout
    let quantization: Quantization?
    let components: [StateDict.Element]
    let isCoalesced: Bool

    init(
      layout: Layout, quantization: Quantization? = nil, components: [StateDict.Element] = [],
      isCoalesced: Bool = false
    ) {
      self.layout = layout
      self.quantization = quantization
      self.components = components
      self.isCoalesced = isCoalesced
    }
  }

  /// The component named `name`.
  func component(_ name: String) throws(CheckpointError) -> Tensor {
    guard let component = components.first(where: { $0.name == name }) else {
      throw CheckpointError(.malformed, "lacks its \(name). Get the file again.")
    }
    return component.tensor
  }

  /// The elements of an integer tensor as Int.
  func ints() throws(CheckpointError) -> [Int] {
    guard dtype == .int64 || dtype == .int32 else {
      throw CheckpointError(.malformed, "has \(dtype) where int64 or int32 is due. Get the file again.")
    }
    let bytes = try contiguousBytes()
    return (0..<elementCount).map { index in
      dtype == .int64
        ? Int(bytes.load(Int64.self, at: index * 8) ?? 0) : Int(bytes.load(Int32.self, at: index * 4) ?? 0)
    }
  }

  /// The elements of a floating-point or integer tensor as Double.
  package func doubles() throws(CheckpointError) -> [Double] {
    switch dtype {
    case .float64, .uint64:
      let bytes = try contiguousBytes()
      return (0..<elementCount).map { position in
        let bits = bytes.load(UInt64.self, at: position * 8) ?? 0
        return dtype == .float64 ? Double(bitPattern: bits) : Double(bits)
      }
    case .uint32:
      let bytes = try contiguousBytes()
      return (0..<elementCount).map { Double(bytes.load(UInt32.self, at: $0 * 4) ?? 0) }
    case .int64, .int32: return try ints().map(Double.init)
    default: return try floats().map(Double.init)
    }
  }
}
