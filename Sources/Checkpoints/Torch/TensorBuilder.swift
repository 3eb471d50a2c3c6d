// From the calls that PyTorch's pickles ask for to tensors: the rebuild functions of
// torch/_utils.py and torch/_tensor.py, for tensors that are views of one storage.
// CompositeTensors.swift has those made of several, NumPy/PickledArrays.swift those of NumPy.

/// Builds tensors from a ``TorchPickle``; storages that tensors share are built once.
final class TensorBuilder {
  let pickle: TorchPickle
  let heap: PickleHeap
  private var storages: [StorageIdentity: Storage] = [:]
  /// Storages that lie in the pickle, by the bytes that hold them.
  private var embeddedStorages: [TorchPickle.ByteSource: (Storage, DType)] = [:]

  // Many objects may share what these are made of, so each is made once.

  /// Numbers that were read before, by the list or tensor that holds them.
  var numberLists: [PickleReference: [Double]] = [:]
  /// How much of a storage was read into these.
  var bytesRead: [ObjectIdentifier: Int] = [:]
  /// The bytes that were spelled as text.
  private var spelledBytes: [TorchPickle.ByteSource: Bytes] = [:]
  /// The names of keys that are no text.
  var keyNames: [PickleReference: String] = [:]
  /// What was found to be a module.
  var modules: [PickleReference: ModuleKind] = [:]
  /// Whether a module has parameters or buffers, itself or further in.
  var modulesWithTensors: [PickleReference: Bool] = [:]
  /// The parameters and buffers of TorchScript's classes, by the class's index among the globals.
  var scriptClasses: [Int: Set<String>?] = [:]
  /// The same of all classes of a record.
  var scriptRecords: [String: [String: Set<String>]] = [:]

  /// How many tensors were found inside of others.
  var wrappedCount = 0
  /// How many values were looked at.
  private var looks = 0
  private let mostLooks: Int
  let limits: Limits

  /// What tensors that share memory have in common.
  private struct StorageIdentity: Hashable {
    let key: CodeUnitKey
    let view: CodeUnitKey?
    let componentSize: Int
  }

  init(_ pickle: TorchPickle, limits: Limits) {
    self.pickle = pickle
    self.limits = limits
    heap = pickle.heap
    mostLooks = limits.looks(forMemory: pickle.heap.memory)
  }

  /// Counts values that are about to be looked at. Objects may share what lies in them, so that a small
  /// file could ask for more than anybody waits for.
  ///
  /// - Throws: `.limitExceeded` when they are more than the pickle justifies.
  func charge(_ count: Int) throws(CheckpointError) {
    looks = looks.saturatingAdding(count)
    guard looks <= mostLooks else {
      throw CheckpointError(
        .limitExceeded,
        "shares values so often that walking through them would take longer than the file justifies. "
          + "Get the file again, or raise Limits.walkedValues.")
    }
  }

  /// Bytes, however they are spelled.
  func bytes(_ value: PickleValue) -> Bytes? {
    guard let source = pickle.byteSource(value) else { return nil }
    if let known = spelledBytes[source] { return known }
    let bytes = pickle.bytes(source)
    if let bytes { spelledBytes[source] = bytes }
    return bytes
  }

  // MARK: Recognition

  /// Whether `value` is a tensor, as far as its name tells.
  func isTensor(_ value: PickleValue) -> Bool {
    switch heap.node(value) {
    case .object(let object)?:
      switch pickle.known(object.callable) {
      case .tensor: return true
      case .array: return isNumericArray(object)
      case .wrapper: return pickle.unwrapped(value) != value && isTensor(pickle.unwrapped(value))
      default: return false
      }
    case .persistent(let identifier)?:
      return heap.storageKey(identifier).map { pickle.persistentTensors[$0] != nil } ?? false
    default: return false
    }
  }

  /// Whether `value` is a single number, such as a loss or a best score beside the weights.
  func isScalar(_ value: PickleValue) -> Bool {
    guard case .object(let object)? = heap.node(value) else { return false }
    switch pickle.known(object.callable) {
    case .array(.scalar): return true
    case .tensor(.strided), .tensor(.stridedWithType):
      return object.arguments.count > 2 && pickle.elements(object.arguments[2])?.isEmpty ?? false
    default: return false
    }
  }

  // MARK: Tensors

  /// The tensor that `value` describes.
  ///
  /// - Throws: `.malformed` when its arguments are not what PyTorch writes, `.unsupported` for a
  ///   kind of tensor that is not read, `.missingRecord` and `.outsideStorage` for its storage.
  func tensor(_ value: PickleValue) throws(CheckpointError) -> Tensor {
    var value = pickle.unwrapped(value)
    var dtype: DType?
    for _ in 0..<TorchPickle.deepestWrapping {
      if case .persistent(let identifier)? = heap.node(value), let key = heap.storageKey(identifier),
        let tensor = pickle.persistentTensors[key]
      {
        return try tensor.converted(to: dtype)
      }
      guard case .object(let object)? = heap.node(value) else { throw TensorBuilder.notATensor }
      switch try step(object) {
      case .done(let tensor): return try tensor.converted(to: dtype)
      case .inner(let inner, let innerType):
        value = inner
        dtype = dtype ?? innerType
      }
    }
    throw CheckpointError(.malformed, "is wrapped in itself. Get the file again.")
  }

  /// A tensor, or the value that holds it and the type that its elements are to get.
  private enum Step {
    case done(Tensor)
    case inner(PickleValue, DType?)
  }

  private func step(_ object: PickleObject) throws(CheckpointError) -> Step {
    switch pickle.known(object.callable) {
    case .tensor(.fromType):
      // (function, class, arguments, state): what `function` would return, whatever the class.
      guard object.arguments.count > 2, let inner = heap.sequence(object.arguments[2]) else {
        throw TensorBuilder.notATensor
      }
      let state = object.arguments.count > 3 ? object.arguments[3] : nil
      return try call(object.arguments[0], inner, state: state)
    default: return try call(object.callable, object.arguments, state: object.state)
    }
  }

  /// What calling `function` would give.
  private func call(
    _ function: PickleValue, _ arguments: [PickleValue], state: PickleValue?
  ) throws(CheckpointError) -> Step {
    switch pickle.known(function) {
    case .tensor(.first):
      guard let data = arguments.first else { throw TensorBuilder.notATensor }
      return .inner(data, nil)
    case .tensor(.ofDevice):
      guard arguments.count > 1 else { throw TensorBuilder.notATensor }
      return .inner(arguments[0], try dtype(arguments[1]))
    case .tensor(.stridedState):
      guard let state, let parts = heap.sequence(state) else { throw TensorBuilder.notATensor }
      return .done(try view(parts, dtype: nil))
    case .tensor(.fromType):
      guard arguments.count > 2, let inner = heap.sequence(arguments[2]) else {
        throw TensorBuilder.notATensor
      }
      return try call(arguments[0], inner, state: arguments.count > 3 ? arguments[3] : nil)
    case .tensor(.wrapperSubclass): return .inner(try wrapped(state), nil)
    case .tensor(.strided):
      return .done(try resolved(view(arguments, dtype: nil), arguments.dropFirst(6).first))
    case .tensor(.stridedWithType):
      guard arguments.count > 6 else { throw TensorBuilder.notATensor }
      return .done(try resolved(view(arguments, dtype: dtype(arguments[6])), arguments.dropFirst(7).first))
    case .tensor(.quantized): return .done(try quantized(arguments))
    case .tensor(.sparse): return .done(try sparse(arguments))
    case .tensor(.nested): return .done(try nested(arguments))
    case .tensor(.jagged): return .done(try jagged(arguments))
    case .tensor(.meta): return .done(try meta(arguments))
    case .array(let kind): return .done(try array(kind, arguments, state: state))
    default:
      throw CheckpointError(
        .unsupported,
        "is rebuilt by \(quoted(pickle.name(function) ?? "something without a name")), which rsw does not know."
      )
    }
  }

  /// (storage, offset, size, stride, …) as a view.
  func view(_ arguments: [PickleValue], dtype: DType?) throws(CheckpointError) -> Tensor {
    guard arguments.count >= 4, let offset = heap.int(arguments[1]), let shape = pickle.ints(arguments[2]),
      let strides = pickle.ints(arguments[3])
    else { throw TensorBuilder.notATensor }
    let (storage, storageType) = try storage(arguments[0], dtype)
    return try Tensor(
      dtype: dtype ?? storageType, shape: shape, strides: strides, storageOffset: offset, storage: storage)
  }

  /// `torch.float32` and its like.
  func dtype(_ value: PickleValue) throws(CheckpointError) -> DType {
    if case .dtype(let dtype)? = pickle.known(value) { return dtype }
    throw CheckpointError(
      .unsupported, "has the unknown dtype \(quoted(heap.globalName(value) ?? "that is no name")).")
  }

  // MARK: Lazy conjugation and negation

  /// PyTorch conjugates and negates lazily, by a flag beside the tensor; here it is done when the
  /// elements are read.
  private func resolved(_ tensor: Tensor, _ metadata: PickleValue?) throws(CheckpointError) -> Tensor {
    guard let flags = metadata.flatMap(pickle.entries) else { return tensor }
    try charge(flags.count)
    var flips: Set<LazyFlip> = []
    for (key, value) in flags {
      if let flip = heap.string(key).flatMap(LazyFlip.init), value != .bool(false) { flips.insert(flip) }
    }
    guard !flips.isEmpty else { return tensor }
    guard let resolve = tensor.flipping(flips) else {
      throw CheckpointError(.malformed, "is \(tensor.dtype) and said to be conjugated or negated lazily.")
    }
    return try Tensor(
      dtype: tensor.dtype, shape: tensor.shape,
      storage: Storage(
        .generated(resolve), byteCount: tensor.byteCount, origin: tensor.storage.origin,
        device: tensor.storage.device))
  }

  // MARK: Storages

  /// The storage that `value` names or holds, and the type of its elements.
  private func storage(
    _ value: PickleValue, _ elementType: DType?
  ) throws(CheckpointError) -> (Storage, DType) {
    switch heap.node(value) {
    case .persistent(let identifier)?:
      guard var reference = try pickle.storageReference(identifier) else { throw TensorBuilder.notATensor }
      // Untyped storages count bytes; what these mean only the tensor knows.
      if let elementType { reference.componentSize = elementType.componentSize }
      let identity = StorageIdentity(
        key: CodeUnitKey(reference.key), view: reference.view.map { CodeUnitKey($0.key) },
        componentSize: reference.componentSize)
      if let storage = storages[identity] { return (storage, reference.dtype) }
      let storage = try pickle.storage(reference)
      storages[identity] = storage
      return (storage, reference.dtype)
    case .object(let object)? where pickle.known(object.callable) == .storageFromBytes:
      return try embeddedStorage(object)
    default: throw TensorBuilder.notATensor
    }
  }

  /// A storage that `pickle.dump` of a tensor writes: a file of `torch.save` in a string of bytes.
  private func embeddedStorage(_ object: PickleObject) throws(CheckpointError) -> (Storage, DType) {
    guard let source = object.arguments.first.flatMap(pickle.byteSource) else {
      throw TensorBuilder.notATensor
    }
    if let known = embeddedStorages[source] { return known }
    guard let file = pickle.bytes(source) else { throw TensorBuilder.notATensor }
    let inner = try TorchLegacy(file, limits: .standard).pickle
    guard case .persistent(let identifier)? = inner.heap.node(inner.heap.root),
      let innerReference = try inner.storageReference(identifier)
    else {
      throw CheckpointError(
        .malformed, "has a storage in the pickle that holds something else. Get the file again.")
    }
    let found = (try inner.storage(innerReference), innerReference.dtype)
    embeddedStorages[source] = found
    return found
  }

  /// `torch.tensor(number)`; nil for what is no number.
  static func tensor(ofNumber value: PickleValue) throws(CheckpointError) -> Tensor? {
    switch value {
    case .int(let int):
      let bytes = (0..<8).map { UInt8(truncatingIfNeeded: int >> (8 * $0)) }
      return try Tensor(dtype: .int64, shape: [], storage: Storage(Bytes(bytes)))
    case .float(let double): return try Tensor(shape: [], [Float(double)])
    default: return nil
    }
  }

  static let notATensor = CheckpointError(
    .malformed, "is not written as PyTorch writes tensors. Get the file again.")
}

/// What PyTorch puts off until the elements are used.
private enum LazyFlip: String {
  case conj, neg
}

extension Tensor {
  /// Makes the elements with the signs that the flags mean; nil for types that have no sign.
  fileprivate func flipping(_ flips: Set<LazyFlip>) -> (@Sendable () throws(CheckpointError) -> Bytes)? {
    let isComplex = dtype.componentSize < dtype.size
    guard isComplex || dtype.isFloatingPoint, !flips.contains(.conj) || isComplex else { return nil }
    let size = dtype.componentSize
    // The sign of a number is its highest bit. Both flags together leave the imaginary part alone.
    let flipsReal = flips.contains(.neg)
    let flipsImaginary = flips.contains(.conj) != flips.contains(.neg)
    return { () throws(CheckpointError) in
      let source = try contiguousBytes()
      return unsafe Bytes(count: source.count) { target in
        unsafe source.withUnsafeBytes { source in unsafe target.copyMemory(from: source) }
        for number in 0..<source.count / size
        where isComplex && !number.isMultiple(of: 2) ? flipsImaginary : flipsReal {
          unsafe target[number * size + size - 1] ^= 0x80
        }
      }
    }
  }
}
