// What PyTorch puts into its pickles: storages by persistent id, and tensors by the rebuild
// functions of torch/_utils.py. This table of names is all that is known of PyTorch here; a name
// that is not in it stays what it is in the pickle, a name.

/// A pickle that `torch.save` wrote, with what its container knows of its storages.
struct TorchPickle: Sendable {
  let heap: PickleHeap
  /// Finds a storage in the container, or says what is wrong with it.
  let storage: @Sendable (StorageReference) throws(CheckpointError) -> Storage
}

/// Builds tensors from a ``TorchPickle``; storages that tensors share are built once.
struct TorchObjects {
  private let pickle: TorchPickle
  private var storages: [String: Storage] = [:]

  init(_ pickle: TorchPickle) {
    self.pickle = pickle
  }

  private var heap: PickleHeap { pickle.heap }

  /// How deep rebuild functions may wrap each other; PyTorch itself reaches 3.
  private static let deepestWrapping = 16

  // MARK: Recognition

  /// Whether `value` is a tensor, as far as its name tells.
  func isTensor(_ value: PickleValue) -> Bool {
    guard case .object(let object)? = heap.node(value) else { return false }
    return heap.globalName(object.callable).map(TorchObjects.isRebuildFunction) ?? false
  }

  private static func isRebuildFunction(_ name: String) -> Bool {
    name.hasPrefix("torch._utils._rebuild_") || name.hasPrefix("torch._tensor._rebuild_")
  }

  /// The keys and values of a dict or of one of its subclasses, nil for everything else.
  func entries(_ value: PickleValue) -> [(key: PickleValue, value: PickleValue)]? {
    switch heap.node(value) {
    case .dict(let entries)?: return pairs(entries)
    case .object(let object)?:
      guard let name = heap.globalName(object.callable), TorchObjects.dictClasses.contains(name) else {
        return nil
      }
      // Python 2 gives OrderedDict its entries as a list of pairs.
      let initial = object.arguments.last.flatMap(heap.sequence) ?? []
      return initial.compactMap(pair) + pairs(object.entries)
    default: return nil
    }
  }

  private static let dictClasses: Set = ["collections.OrderedDict", "collections.defaultdict"]

  private func pairs(_ flat: [PickleValue]) -> [(key: PickleValue, value: PickleValue)] {
    stride(from: 0, to: flat.count - 1, by: 2).map { (flat[$0], flat[$0 + 1]) }
  }

  private func pair(_ value: PickleValue) -> (key: PickleValue, value: PickleValue)? {
    guard let elements = heap.sequence(value), elements.count == 2 else { return nil }
    return (elements[0], elements[1])
  }

  // MARK: Tensors

  /// The tensor that `value` describes.
  ///
  /// - Throws: `.malformed` when its arguments are not what PyTorch writes, `.unsupported` for a
  ///   kind of tensor that is not read, `.missingRecord` and `.outsideStorage` for its storage.
  mutating func tensor(_ value: PickleValue) throws(CheckpointError) -> Tensor {
    guard case .object(let object)? = heap.node(value) else { throw TorchObjects.notATensor }
    var callable = object.callable
    var arguments = object.arguments
    for _ in 0..<TorchObjects.deepestWrapping {
      switch heap.globalName(callable) {
      case "torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2":
        try checkPlain(arguments.dropFirst(6).first)
        return try view(arguments, dtype: nil)
      case "torch._utils._rebuild_tensor_v3":
        guard arguments.count > 6 else { throw TorchObjects.notATensor }
        try checkPlain(arguments.dropFirst(7).first)
        return try view(arguments, dtype: dtype(arguments[6]))
      case "torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state":
        // (data, requires_grad, hooks[, state]): the data is the tensor.
        guard let data = arguments.first, case .object(let inner)? = heap.node(data) else {
          throw TorchObjects.notATensor
        }
        callable = inner.callable
        arguments = inner.arguments
      case "torch._tensor._rebuild_from_type_v2":
        // (function, class, arguments, state): what `function` would return, whatever the class.
        guard arguments.count > 2, let inner = heap.sequence(arguments[2]) else {
          throw TorchObjects.notATensor
        }
        callable = arguments[0]
        arguments = inner
      case let name:
        throw CheckpointError(
          .unsupported,
          "is rebuilt by \(quoted(name ?? "something without a name")), which rsw does not read yet.")
      }
    }
    throw CheckpointError(.malformed, "is wrapped in itself. Get the file again.")
  }

  /// Refuses tensors whose elements PyTorch would conjugate or negate as it reads them.
  private func checkPlain(_ metadata: PickleValue?) throws(CheckpointError) {
    for (key, value) in metadata.flatMap(entries) ?? [] {
      if let bit = heap.string(key), ["conj", "neg"].contains(bit), value != .bool(false) {
        throw CheckpointError(
          .unsupported,
          "is a lazily \(bit == "conj" ? "conjugated" : "negated") view. Save it after .resolve_\(bit)().")
      }
    }
  }

  /// (storage, offset, size, stride, …) as a view.
  private mutating func view(_ arguments: [PickleValue], dtype: DType?) throws(CheckpointError) -> Tensor {
    guard arguments.count >= 4, case .persistent(let identifier)? = heap.node(arguments[0]),
      let offset = heap.int(arguments[1]), let shape = ints(arguments[2]), let strides = ints(arguments[3])
    else { throw TorchObjects.notATensor }
    let (storage, storageType) = try storage(identifier)
    return try Tensor(
      dtype: dtype ?? storageType, shape: shape, strides: strides, storageOffset: offset, storage: storage)
  }

  /// The storage that a persistent id names, and the type of its elements.
  private mutating func storage(_ identifier: PickleValue) throws(CheckpointError) -> (Storage, DType) {
    guard let reference = try heap.storageReference(identifier) else { throw TorchObjects.notATensor }
    let identity = reference.view.map { reference.key + "/" + $0.key } ?? reference.key
    if let storage = storages[identity] { return (storage, reference.dtype) }
    let storage = try pickle.storage(reference)
    storages[identity] = storage
    return (storage, reference.dtype)
  }

  /// `torch.float32` and its like.
  private func dtype(_ value: PickleValue) throws(CheckpointError) -> DType {
    if case .global("torch", let name)? = heap.node(value), let dtype = DType(torchName: name) {
      return dtype
    }
    throw CheckpointError(
      .unsupported, "has the unknown dtype \(quoted(heap.globalName(value) ?? "that is no name")).")
  }

  /// The integers of a tuple, list or `torch.Size`.
  private func ints(_ value: PickleValue) -> [Int]? {
    var elements = heap.sequence(value)
    if case .object(let object)? = heap.node(value), heap.globalName(object.callable) == "torch.Size" {
      elements = object.arguments.first.flatMap(heap.sequence)
    }
    guard let elements else { return nil }
    let ints = elements.compactMap(heap.int)
    return ints.count == elements.count ? ints : nil
  }

  private static let notATensor = CheckpointError(
    .malformed, "is not written as PyTorch writes tensors. Get the file again.")
}
