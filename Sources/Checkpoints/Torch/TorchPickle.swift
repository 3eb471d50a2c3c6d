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

  /// The class of an object: the one that is reconstructed, where a function does that.
  func classValue(_ object: PickleObject) -> PickleValue {
    isReconstruction(object) ? object.arguments.first ?? object.callable : object.callable
  }

  /// Whether the first argument is the class of the object.
  func isReconstruction(_ object: PickleObject) -> Bool {
    [.reconstructor, .newObject].contains(known(object.callable))
  }

  /// The name of the class of an object.
  func className(_ object: PickleObject) -> String? { name(classValue(object)) }

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

  /// Whether `value` is a dict or of one of its subclasses.
  func isDictionary(_ value: PickleValue) -> Bool {
    switch heap.node(unwrapped(value)) {
    case .dict?: return true
    case .object(let object)?: return known(object.callable) == .dictionary || !object.entries.isEmpty
    default: return false
    }
  }

  /// Keys and values of a dict or of one of its subclasses, nil for everything else.
  func entries(_ value: PickleValue) -> PickleEntries? {
    switch heap.node(unwrapped(value)) {
    case .dict(let entries)?: return PickleEntries(heap, .flat(entries))
    case .object(let object)?:
      let isDictionary = known(object.callable) == .dictionary
      guard isDictionary || !object.entries.isEmpty else { return nil }
      let own = PickleEntries(heap, .flat(object.entries))
      guard isDictionary, let initial = object.arguments.last else { return own }
      // Counter takes a dict; Python 2 gives OrderedDict its entries as a list of pairs.
      if case .dict(let entries)? = heap.node(initial) { return PickleEntries(heap, .flat(entries)) + own }
      guard let pairs = heap.sequence(initial) else { return own }
      return PickleEntries(heap, .pairs(pairs)) + own
    default: return nil
    }
  }

  /// The elements of a list, tuple or set, or of one of their subclasses, nil for everything else.
  func elements(_ value: PickleValue) -> PickleElements? {
    switch heap.node(unwrapped(value)) {
    case .tuple(let elements)?, .list(let elements)?, .set(let elements)?: return PickleElements(elements)
    case .object(let object)?:
      if known(object.callable) == .sequence {
        return PickleElements(object.arguments.first.flatMap(heap.sequence) ?? [], object.items)
      }
      return object.items.isEmpty ? nil : PickleElements(object.items)
    default: return nil
    }
  }

  /// What BUILD sets on an object: the entries of its `__dict__`, and of its slots.
  func attributes(_ object: PickleObject) -> PickleEntries {
    object.state.flatMap(attributes(ofState:)) ?? PickleEntries(heap)
  }

  /// The state of an object that is no dict of attributes: what it means only the class knows.
  func opaqueState(_ object: PickleObject) -> PickleValue? {
    object.state.flatMap { attributes(ofState: $0) == nil ? $0 : nil }
  }

  /// The attributes that a state sets: it is a dict, or (dict, slots), either of which may be None.
  func attributes(ofState state: PickleValue) -> PickleEntries? {
    if let entries = entries(state) { return entries }
    guard case .tuple(let parts)? = heap.node(state), parts.count == 2,
      parts.allSatisfy({ $0 == .none || isDictionary($0) })
    else { return nil }
    return parts.reduce(PickleEntries(heap)) { $0 + (entries($1) ?? PickleEntries(heap)) }
  }

  /// The value that `name` has among `entries`.
  func value(_ name: String, in entries: PickleEntries) -> PickleValue? {
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

  // MARK: Bytes

  /// Where bytes lie, whose spellings may share one text.
  enum ByteSource: Hashable {
    case empty
    case plain(PickleReference)
    /// In the characters of a text.
    case encoded(PickleReference)
  }

  /// Where the bytes are that `value` spells; nil when it spells none.
  func byteSource(_ value: PickleValue) -> ByteSource? {
    var value = value
    for _ in 0..<TorchPickle.deepestWrapping {
      guard case .node(let reference) = value else { return nil }
      switch heap[reference] {
      case .bytes, .string: return .plain(reference)
      case .object(let object):
        switch known(object.callable) {
        case .encodedText:
          // `_codecs.encode(text, 'latin1')`
          guard object.arguments.count == 2, case .node(let text) = object.arguments[0],
            let encoding = heap.string(object.arguments[1]), ["latin1", "latin-1"].contains(encoding)
          else { return nil }
          return .encoded(text)
        case .bytes:
          guard let first = object.arguments.first else { return .empty }
          value = first
        default: return nil
        }
      default: return nil
      }
    }
    return nil
  }

  /// The bytes that lie there.
  func bytes(_ source: ByteSource) -> Bytes? {
    switch source {
    case .empty: return Bytes([])
    case .plain(let reference):
      if case .bytes(let bytes) = heap[reference] { return bytes }
      // Python 2 has one type for text and bytes.
      return heap.string(.node(reference)).map { Bytes(Array($0.utf8)) }
    case .encoded(let reference):
      guard let text = heap.string(.node(reference)) else { return nil }
      // A character is a byte.
      var bytes: [UInt8] = []
      bytes.reserveCapacity(text.utf8.count)
      for scalar in text.unicodeScalars {
        guard let byte = UInt8(exactly: scalar.value) else { return nil }
        bytes.append(byte)
      }
      return Bytes(bytes)
    }
  }
}
