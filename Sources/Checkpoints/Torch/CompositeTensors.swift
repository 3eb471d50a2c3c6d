// Tensors that PyTorch makes of several: quantized ones with their scales, sparse and nested ones
// with their components, wrapper subclasses around others, and those that have a shape only.

extension TensorBuilder {
  /// (storage, offset, size, stride, (scheme, …), requires_grad, hooks)
  ///
  /// The scheme's parameters are (scale, zero point) or (scales, zero points, axis).
  func quantized(_ arguments: [PickleValue]) throws(CheckpointError) -> Tensor {
    let integers = try view(arguments, dtype: nil)
    guard arguments.count > 4, let parameters = heap.sequence(arguments[4]), let scheme = parameters.first
    else {
      throw TensorBuilder.notATensor
    }
    switch pickle.known(scheme) {
    case .perTensorQuantization:
      guard parameters.count == 3, let scale = number(parameters[1]), let zeroPoint = heap.int(parameters[2])
      else { throw TensorBuilder.notATensor }
      return try Tensor(integers, quantization: .perTensor(scale: scale, zeroPoint: zeroPoint))
    case .perChannelQuantization(let precision):
      guard parameters.count == 4, let axis = heap.int(parameters[3]) else { throw TensorBuilder.notATensor }
      let (scales, zeroPoints) = (parameters[1], parameters[2])
      return try Tensor(
        integers,
        quantization: .perChannel(
          scales: numbers(scales), zeroPoints: numbers(zeroPoints), axis: axis,
          precision: precisionOfZeroPoints(zeroPoints) ?? precision))
    default:
      throw CheckpointError(
        .unsupported, "is quantized by \(quoted(heap.globalName(scheme) ?? "something without a name")).")
    }
  }

  /// The type that PyTorch computes in where the zero points are a tensor: float32 for floating-point
  /// ones. The scheme does not tell, as PyTorch writes `per_channel_affine` for both.
  private func precisionOfZeroPoints(_ value: PickleValue) throws(CheckpointError) -> DType? {
    guard pickle.elements(value) == nil else { return nil }
    return try component(value).dtype.isFloatingPoint ? .float32 : .float64
  }

  private func number(_ value: PickleValue) -> Double? {
    if case .float(let float) = value { return float }
    return heap.int(value).map(Double.init)
  }

  /// Numbers in a tensor or, in older files, in a list; they are read once, though many tensors may share them.
  private func numbers(_ value: PickleValue) throws(CheckpointError) -> [Double] {
    guard case .node(let reference) = value else { throw TensorBuilder.notATensor }
    if let known = numberLists[reference] { return known }
    let numbers: [Double]
    if let elements = pickle.elements(value) {
      try charge(elements.count)
      numbers = elements.compactMap(number)
      guard numbers.count == elements.count else { throw TensorBuilder.notATensor }
    } else {
      let component = try component(value)
      // Views of one storage justify as many numbers as it has.
      let read = (bytesRead[ObjectIdentifier(component.storage)] ?? 0).saturatingAdding(component.byteCount)
      bytesRead[ObjectIdentifier(component.storage)] = read
      if read > component.storage.byteCount { try charge(component.elementCount) }
      numbers = try component.doubles()
    }
    numberLists[reference] = numbers
    return numbers
  }

  /// (layout, (components…, size[, is_coalesced]))
  func sparse(_ arguments: [PickleValue]) throws(CheckpointError) -> Tensor {
    guard arguments.count >= 2, let data = heap.sequence(arguments[1]) else { throw TensorBuilder.notATensor }
    let layout = try layout(arguments[0])
    let names = TensorBuilder.componentNames(layout)
    guard data.count > names.count, let shape = pickle.ints(data[names.count]) else {
      throw TensorBuilder.notATensor
    }
    var components: [StateDict.Element] = []
    for (name, value) in zip(names, data) { components.append((name, try component(value))) }
    guard let values = components.last else { throw TensorBuilder.notATensor }
    return try Tensor(
      dtype: values.tensor.dtype, shape: shape, layout: layout, components: components,
      isCoalesced: data.dropFirst(names.count + 1).first == .bool(true))
  }

  /// `torch.serialization._get_layout("torch.sparse_coo")`
  private func layout(_ value: PickleValue) throws(CheckpointError) -> Layout {
    var name: String?
    if case .object(let object)? = heap.node(value), pickle.known(object.callable) == .layout {
      name = object.arguments.first.flatMap(heap.string)
    }
    guard let name = name?.droppingPrefix("torch."), let layout = Layout(rawValue: name),
      !TensorBuilder.componentNames(layout).isEmpty
    else {
      throw CheckpointError(.unsupported, "has the unknown layout \(quoted(name ?? "that is no name")).")
    }
    return layout
  }

  private static func componentNames(_ layout: Layout) -> [String] {
    switch layout {
    case .sparseCOO: ["indices", "values"]
    case .sparseCSR, .sparseBSR: ["crow_indices", "col_indices", "values"]
    case .sparseCSC, .sparseBSC: ["ccol_indices", "row_indices", "values"]
    case .strided, .nested, .jagged, .meta: []
    }
  }

  /// (buffer, sizes, strides, offsets)
  func nested(_ arguments: [PickleValue]) throws(CheckpointError) -> Tensor {
    let names = ["buffer", "sizes", "strides", "storage_offsets"]
    guard arguments.count == names.count else { throw TensorBuilder.notATensor }
    var components: [StateDict.Element] = []
    for (name, value) in zip(names, arguments) { components.append((name, try component(value))) }
    return try Tensor(
      dtype: components[0].tensor.dtype, shape: [], layout: .nested, components: components)
  }

  /// A dict of keyword arguments: values, offsets and, where there are gaps, lengths.
  func jagged(_ arguments: [PickleValue]) throws(CheckpointError) -> Tensor {
    guard let entries = arguments.first.flatMap(pickle.entries) else { throw TensorBuilder.notATensor }
    try charge(3 * entries.count)
    var components: [StateDict.Element] = []
    for name in ["values", "offsets", "lengths"] {
      guard let value = pickle.value(name, in: entries), value != .none else { continue }
      components.append((name, try component(value)))
    }
    guard components.count >= 2 else { throw TensorBuilder.notATensor }
    return try Tensor(dtype: components[0].tensor.dtype, shape: [], layout: .jagged, components: components)
  }

  /// (dtype, size, stride, requires_grad)
  func meta(_ arguments: [PickleValue]) throws(CheckpointError) -> Tensor {
    guard arguments.count >= 3, let shape = pickle.ints(arguments[1]),
      let strides = pickle.ints(arguments[2]),
      strides.count == shape.count
    else { throw TensorBuilder.notATensor }
    return try Tensor(dtype: dtype(arguments[0]), shape: shape, strides: strides, layout: .meta)
  }

  /// A tensor that is part of another: an ordinary one whose storage really holds all its elements.
  private func component(_ value: PickleValue) throws(CheckpointError) -> Tensor {
    // A part is a plain tensor: what could be made of parts itself, without end, is refused by name.
    guard case .object(let object)? = heap.node(value) else { throw TensorBuilder.notATensor }
    var function = pickle.known(object.callable)
    if function == .tensor(.fromType) { function = object.arguments.first.flatMap { pickle.known($0) } }
    guard function == .tensor(.strided) || function == .tensor(.stridedWithType) else {
      throw TensorBuilder.notATensor
    }
    let tensor = try tensor(value)
    guard tensor.layout == .strided, tensor.byteCount <= tensor.storage.byteCount else {
      throw CheckpointError(.malformed, "is made of parts that are no plain tensors. Get the file again.")
    }
    return tensor
  }

  // MARK: Wrapper subclasses

  /// The tensors that a wrapper subclass with several keeps, by the names of its attributes; nil
  /// for every other value.
  ///
  /// What they mean together only their class knows, so each is a tensor of its own.
  func wrappedTensors(
    _ value: PickleValue
  ) throws(CheckpointError) -> [(name: String, value: PickleValue)]? {
    guard case .object(let object)? = heap.node(value) else { return nil }
    var function = object.callable
    var state = object.state
    if pickle.known(function) == .tensor(.fromType), object.arguments.count > 3 {
      function = object.arguments[0]
      state = object.arguments[3]
    }
    guard pickle.known(function) == .tensor(.wrapperSubclass) else { return nil }
    let inner = try tensors(inState: state)
    return inner.count > 1 ? inner : nil
  }

  /// The only tensor that the state of a wrapper subclass holds.
  func wrapped(_ state: PickleValue?) throws(CheckpointError) -> PickleValue {
    guard let inner = try tensors(inState: state).first else {
      throw CheckpointError(.unsupported, "is of a class that wraps no tensor that the file holds.")
    }
    return inner.value
  }

  private func tensors(
    inState state: PickleValue?
  ) throws(CheckpointError) -> [(name: String, value: PickleValue)] {
    guard let entries = state.flatMap(pickle.attributes(ofState:)) else { return [] }
    // Names are made, which takes longer than a look.
    try charge(8 * entries.count)
    var tensors: [(name: String, value: PickleValue)] = []
    for (key, value) in entries where isTensor(value) { tensors.append((try name(ofKey: key), value)) }
    return tensors
  }

  // MARK: Attributes

  /// What a program set on a tensor beside its elements: the state that functions around the others restore.
  func tensorAttributes(_ value: PickleValue) -> [PickleValue] {
    var states: [PickleValue] = []
    var value = pickle.unwrapped(value)
    for _ in 0..<TorchPickle.deepestWrapping {
      guard case .object(let object)? = heap.node(value) else { break }
      var (function, arguments) = (object.callable, object.arguments)
      if pickle.known(function) == .tensor(.fromType), arguments.count > 2 {
        states += arguments.dropFirst(3).prefix(1)
        function = arguments[0]
        arguments = heap.sequence(arguments[2]) ?? []
      }
      guard pickle.known(function) == .tensor(.first) || pickle.known(function) == .tensor(.ofDevice) else {
        break
      }
      // (data, requires_grad, hooks, state)
      states += arguments.dropFirst(3).prefix(1)
      guard let data = arguments.first else { break }
      value = data
    }
    return states
  }
}
