// Arrays whose axes lie in another order than PyTorch's, as views: nothing is copied.

extension Tensor {
  /// The same elements in PyTorch's order of axes, given how they lie now.
  ///
  /// - Throws: `.malformed` when there are fewer or more axes, `.unsupported` for what is no view of one storage.
  package func toPyTorch(from axes: KeyMap.Axes) throws(CheckpointError) -> Tensor {
    if axes == .oi11 {
      guard shape.count == 4, shape[2] == 1, shape[3] == 1 else { throw wrongAxes(axes) }
      return try Tensor(
        dtype: dtype, shape: Array(shape[..<2]), strides: Array(strides[..<2]), storageOffset: storageOffset,
        storage: storage)
    }
    return try permuted(axes.permutation, axes)
  }

  /// The same elements in the order that `axes` names, given that they lie in PyTorch's.
  package func fromPyTorch(to axes: KeyMap.Axes) throws(CheckpointError) -> Tensor {
    if axes == .oi11 {
      guard shape.count == 2 else { throw wrongAxes(axes) }
      return try Tensor(
        dtype: dtype, shape: shape + [1, 1], strides: strides + [1, 1], storageOffset: storageOffset,
        storage: storage)
    }
    var inverse = axes.permutation
    for (to, from) in axes.permutation.enumerated() { inverse[from] = to }
    return try permuted(inverse, axes)
  }

  private func permuted(_ order: [Int], _ axes: KeyMap.Axes) throws(CheckpointError) -> Tensor {
    guard layout == .strided, quantization == nil else {
      throw CheckpointError(
        .unsupported, "is \(layout), and its axes can't be put in another order. Use --dense.")
    }
    guard shape.count == order.count else { throw wrongAxes(axes) }
    return try Tensor(
      dtype: dtype, shape: order.map { shape[$0] }, strides: order.map { strides[$0] },
      storageOffset: storageOffset, storage: storage)
  }

  private func wrongAxes(_ axes: KeyMap.Axes) -> CheckpointError {
    CheckpointError(.malformed, "has shape \(shape), which does not go with the axes \(axes.rawValue).")
  }
}

extension StateDict {
  /// The same tensors with those of four dimensions, the weights of convolutions, as `[out, height, width, in]`.
  public func withChannelsLast() throws(CheckpointError) -> StateDict {
    var result = self
    for (name, tensor) in self where tensor.shape.count == 4 {
      do throws(CheckpointError) {
        result.update(name, try tensor.fromPyTorch(to: .ohwi))
      } catch {
        throw error.forTensor(name)
      }
    }
    return result
  }
}
