// NumPy's arrays and scalars inside pickles, in all spellings:
//
//   numpy.core.multiarray._reconstruct(class, (0,), b'b'), then BUILD with
//       (version, shape, dtype, is_fortran, data)                   protocols 0 to 4
//   numpy.core.numeric._frombuffer(data, dtype, shape, order[, axes])   protocol 5; with axes the
//       shape is that of the memory, and the array is its transpose
//   numpy.core.multiarray.scalar(dtype, data)
//
// where `numpy.core` may be `numpy._core`, dtype is numpy.dtype('f4', …) with a state that holds the
// byte order, and data is bytes in any of their spellings (TorchPickle.bytes).

extension TensorBuilder {
  /// Whether an array holds numbers, which arrays of objects and texts do not.
  func isNumericArray(_ object: PickleObject) -> Bool {
    guard case .array(let kind)? = pickle.known(object.callable) else { return false }
    // A damaged array counts too, so that what is wrong with it comes to light.
    guard let type = arrayType(kind, object.arguments, state: object.state) else { return true }
    return elementType(type) != nil
  }

  /// The elements of an array of objects, which a pickle holds as a list.
  func objectElements(_ object: PickleObject) -> [PickleValue]? {
    guard pickle.known(object.callable) == .array(.reconstruct), !isNumericArray(object) else { return nil }
    return object.state.flatMap(heap.sequence)?.last.flatMap(heap.sequence)
  }

  private func arrayType(
    _ kind: KnownName.ArrayRebuild, _ arguments: [PickleValue], state: PickleValue?
  ) -> PickleValue? {
    switch kind {
    case .scalar: return arguments.count == 2 ? arguments[0] : nil
    case .fromBuffer: return arguments.count == 4 || arguments.count == 5 ? arguments[1] : nil
    case .reconstruct:
      // (version, shape, dtype, is_fortran, data), where version 0 had no version.
      guard let parts = state.flatMap(heap.sequence), parts.count >= 4 else { return nil }
      return parts[parts.count - 3]
    }
  }

  /// The array or scalar that `kind` makes.
  func array(
    _ kind: KnownName.ArrayRebuild, _ arguments: [PickleValue], state: PickleValue?
  ) throws(CheckpointError) -> Tensor {
    let parts = try arrayParts(kind, arguments, state: state)
    guard let (dtype, isBigEndian) = elementType(parts.type) else {
      throw CheckpointError(.unsupported, "is a NumPy array whose elements are no numbers that rsw knows.")
    }
    guard let shape = parts.shape, let data = bytes(parts.data) else {
      throw CheckpointError(.malformed, "is not written as NumPy writes arrays. Get the file again.")
    }
    let stored = try Tensor(
      array: data, dtype, isBigEndian: isBigEndian, shape: shape, isFortran: parts.isFortran)
    let tensor = if let axes = parts.axes { try stored.transposed(axes) } else { stored }
    guard tensor.byteCount == data.count else {
      throw CheckpointError(
        .malformed,
        "is a NumPy array \(dtype) \(shape) of \(tensor.byteCount) bytes, but \(data.count) are there. Get the file again."
      )
    }
    return tensor
  }

  private struct ArrayParts {
    let type: PickleValue
    let shape: [Int]?
    let isFortran: Bool
    let data: PickleValue
    /// The order of the axes, where they do not lie in memory as they are counted.
    var axes: [Int]?
  }

  private func arrayParts(
    _ kind: KnownName.ArrayRebuild, _ arguments: [PickleValue], state: PickleValue?
  ) throws(CheckpointError) -> ArrayParts {
    let malformed = CheckpointError(.malformed, "is not written as NumPy writes arrays. Get the file again.")
    switch kind {
    case .scalar:
      guard arguments.count == 2 else { throw malformed }
      return ArrayParts(type: arguments[0], shape: [], isFortran: false, data: arguments[1])
    case .fromBuffer:
      guard arguments.count == 4 || arguments.count == 5 else { throw malformed }
      var parts = ArrayParts(
        type: arguments[1], shape: pickle.ints(arguments[2]), isFortran: heap.string(arguments[3]) == "F",
        data: arguments[0])
      if heap.string(arguments[3]) == "K", arguments.count == 5, arguments[4] != .none {
        guard let axes = pickle.ints(arguments[4]) else { throw malformed }
        parts.axes = axes
      }
      return parts
    case .reconstruct:
      guard let state, let parts = heap.sequence(state), parts.count >= 4 else { throw malformed }
      // Version 0 had no version.
      let fields = Array(parts.suffix(4))
      return ArrayParts(
        type: fields[1], shape: pickle.ints(fields[0]),
        isFortran: fields[2] != .bool(false) && fields[2] != .int(0),
        data: fields[3])
    }
  }

  /// The type of `numpy.dtype('f4', …)`, and whether the elements are big-endian.
  private func elementType(_ value: PickleValue) -> (DType, isBigEndian: Bool)? {
    guard case .object(let object)? = heap.node(value), pickle.known(object.callable) == .arrayType,
      let code = object.arguments.first.flatMap(heap.string)
    else { return nil }
    // The state is (version, byte order, …).
    let order = object.state.flatMap(heap.sequence)?.dropFirst().first.flatMap(heap.string)
    return NPY.elementType((order ?? "") + code) ?? NPY.elementType(code)
  }
}

extension Tensor {
  /// The view whose axes are those of this tensor in the order of `axes`.
  ///
  /// - Throws: `.malformed` when `axes` does not name each axis once.
  fileprivate func transposed(_ axes: [Int]) throws(CheckpointError) -> Tensor {
    guard axes.sorted() == Array(shape.indices) else {
      throw CheckpointError(.malformed, "has \(shape.count) axes in the order \(axes). Get the file again.")
    }
    return try Tensor(
      dtype: dtype, shape: axes.map { shape[$0] }, strides: axes.map { strides[$0] },
      storageOffset: storageOffset, storage: storage)
  }

  /// An array of NumPy's over `data`.
  ///
  /// - Throws: `.outsideStorage` when there is too little data, `.malformed` or `.limitExceeded` for the shape.
  init(
    array data: Bytes, _ dtype: DType, isBigEndian: Bool, shape: [Int], isFortran: Bool
  ) throws(CheckpointError) {
    let size = dtype.componentSize
    let source: Storage.Source =
      isBigEndian && size > 1 ? .generated { data.swappingBytes(ofElements: size) } : .bytes(data)
    try self.init(
      dtype: dtype, shape: shape,
      strides: isFortran
        ? Tensor.contiguousStrides(shape.reversed()).reversed() : Tensor.contiguousStrides(shape),
      storage: Storage(source, byteCount: data.count))
  }
}
