// A pickle of PyTorch or a neighbour with what its container knows of it, and the meaning of its
// values: which names are dicts, lists, bytes, classes.

/// A pickle with what its container knows of its storages.
struct TorchPickle: Sendable {
  /// What goes before the paths in it: nothing, or `constants` for that part of a TorchScript file.
  var name = ""
  let heap: PickleHeap
  /// What each of the heap's globals stands for.
  let known: [KnownName?]
  /// Finds a storage in the container, or says what is wrong with it.
  let storage: @Sendable (StorageReference) throws(CheckpointError) -> Storage
  /// The tensors that persistent ids name in a tar file.
  var persistentTensors: [String: Tensor] = [:]
  /// The names of parameters and buffers of each class, where a file lists them.
  var scriptClasses = ScriptClasses()

  init(
    _ heap: PickleHeap, storage: @escaping @Sendable (StorageReference) throws(CheckpointError) -> Storage
  ) {
    self.heap = heap
    known = heap.globals.map { KnownName($0.fullName) }
    self.storage = storage
  }

  /// A pickle without a container: its storages lie in the pickle itself.
  init(plain heap: PickleHeap) {
    self.init(heap) { reference throws(CheckpointError) in
      throw CheckpointError(
        .missingRecord, "a plain pickle refers to this storage, which only torch.save can write.",
        record: reference.key)
    }
  }

  // MARK: Names

  /// What a class or function stands for.
  func known(_ callable: PickleValue) -> KnownName? {
    switch heap.node(callable) {
    case .global(let index)?: known[index]
    case .persistent(let identifier)?: moduleClass(identifier).flatMap { known($0) }
    default: nil
    }
  }

  /// The class of a persistent id ('module', class, file, source), as whole modules had it before
  /// torch 1.6; in tar files it is (class, file, source). The source is never run.
  private func moduleClass(_ identifier: PickleValue) -> PickleValue? {
    guard let parts = heap.sequence(identifier) else { return nil }
    let named = parts.first.flatMap(heap.string) == "module" ? parts.dropFirst() : parts[...]
    guard let first = named.first, case .global? = heap.node(first) else { return nil }
    return first
  }

  /// The full name of the class or function that `callable` is.
  func name(_ callable: PickleValue) -> String? {
    if case .persistent(let identifier)? = heap.node(callable) {
      return moduleClass(identifier).flatMap(heap.globalName)
    }
    return heap.globalName(callable)
  }

  /// The name of the class of an object: of the one that is reconstructed, where a function does that.
  func className(_ object: PickleObject) -> String? {
    let isReconstruction =
      known(object.callable) == .reconstructor || name(object.callable) == "copyreg.__newobj__"
    return name(isReconstruction ? object.arguments.first ?? object.callable : object.callable)
  }

  // MARK: Containers

  /// `value` without the type tags that TorchScript puts around lists and dicts.
  func unwrapped(_ value: PickleValue) -> PickleValue {
    var value = value
    for _ in 0..<TorchPickle.deepestWrapping {
      guard case .object(let object)? = heap.node(value), known(object.callable) == .wrapper,
        let first = object.arguments.first
      else { return value }
      value = first
    }
    return value
  }

  /// How deep functions may wrap each other; PyTorch itself reaches 3.
  static let deepestWrapping = 16

  /// Keys and values of a dict or of one of its subclasses, nil for everything else.
  func entries(_ value: PickleValue) -> [(key: PickleValue, value: PickleValue)]? {
    switch heap.node(unwrapped(value)) {
    case .dict(let entries)?: return pairs(entries)
    case .object(let object)?:
      let isDictionary = known(object.callable) == .dictionary
      guard isDictionary || !object.entries.isEmpty else { return nil }
      guard isDictionary, let initial = object.arguments.last else { return pairs(object.entries) }
      // Counter takes a dict; Python 2 gives OrderedDict its entries as a list of pairs.
      if case .dict(let entries)? = heap.node(initial) { return pairs(entries) + pairs(object.entries) }
      return (heap.sequence(initial) ?? []).compactMap(pair) + pairs(object.entries)
    default: return nil
    }
  }

  private func pairs(_ flat: [PickleValue]) -> [(key: PickleValue, value: PickleValue)] {
    stride(from: 0, to: flat.count - 1, by: 2).map { (flat[$0], flat[$0 + 1]) }
  }

  private func pair(_ value: PickleValue) -> (key: PickleValue, value: PickleValue)? {
    guard let elements = heap.sequence(value), elements.count == 2 else { return nil }
    return (elements[0], elements[1])
  }

  /// The elements of a list, tuple or set, or of one of their subclasses, nil for everything else.
  func elements(_ value: PickleValue) -> [PickleValue]? {
    switch heap.node(unwrapped(value)) {
    case .tuple(let elements)?, .list(let elements)?, .set(let elements)?: return elements
    case .object(let object)?:
      if known(object.callable) == .sequence {
        return (object.arguments.first.flatMap(heap.sequence) ?? []) + object.items
      }
      return object.items.isEmpty ? nil : object.items
    default: return nil
    }
  }

  /// What BUILD sets on an object: the entries of its `__dict__`, and of its slots.
  func attributes(_ object: PickleObject) -> [(key: PickleValue, value: PickleValue)] {
    guard let state = object.state else { return [] }
    if let entries = entries(state) { return entries }
    // (dict, slots), either of which may be None.
    return (heap.sequence(state) ?? []).flatMap { entries($0) ?? [] }
  }

  /// The value that `name` has among `entries`.
  func value(_ name: String, in entries: [(key: PickleValue, value: PickleValue)]) -> PickleValue? {
    entries.first { heap.string($0.key) == name }?.value
  }

  /// The integers of a tuple, list or `torch.Size`.
  func ints(_ value: PickleValue) -> [Int]? {
    guard let elements = elements(value) else { return nil }
    var ints: [Int] = []
    ints.reserveCapacity(elements.count)
    for element in elements {
      guard let int = heap.int(element) else { return nil }
      ints.append(int)
    }
    return ints
  }

  /// Bytes, however they are spelled.
  func bytes(_ value: PickleValue) -> Bytes? {
    var value = value
    for _ in 0..<TorchPickle.deepestWrapping {
      switch heap.node(value) {
      case .bytes(let bytes)?: return bytes
      // Python 2 has one type for text and bytes.
      case .string(let text)?: return Bytes(Array(text.utf8))
      case .object(let object)?:
        switch known(object.callable) {
        case .encodedText: return encodedText(object.arguments)
        case .bytes:
          guard let first = object.arguments.first else { return Bytes([]) }
          value = first
        default: return nil
        }
      default: return nil
      }
    }
    return nil
  }

  /// `_codecs.encode(text, 'latin1')`: a character is a byte.
  private func encodedText(_ arguments: [PickleValue]) -> Bytes? {
    guard arguments.count == 2, let text = heap.string(arguments[0]),
      let encoding = heap.string(arguments[1]), ["latin1", "latin-1"].contains(encoding)
    else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.unicodeScalars.count)
    for scalar in text.unicodeScalars {
      guard let byte = UInt8(exactly: scalar.value) else { return nil }
      bytes.append(byte)
    }
    return Bytes(bytes)
  }
}
