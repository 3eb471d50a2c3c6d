// The container of torch 0.1.12 to 1.5, and of `_use_new_zipfile_serialization=False`: a stream.
//
//   pickle   the magic number 0x1950A86A20F9469CFC6C
//   pickle   the protocol version, 1001
//   pickle   sys_info: a dict that says of what the writer's machine was
//   pickle   the object that was saved; storages by persistent id
//   pickle   the keys of the storages, in the order in which they follow
//   for each key: the number of elements as int64, then the elements
//
// Numbers and elements are little-endian, whatever sys_info says: torch swaps them when it writes.
//
// torch/serialization.py, `_legacy_save` and `_legacy_load`

struct TorchLegacy {
  let pickle: TorchPickle

  private static let magic: [UInt8] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
  /// The magic number in decimal, as protocol 0 writes it.
  private static let magicDigits = "119547037146038801333356"
  private static let version = 1001

  /// Whether `file` begins with the magic number, in any pickle protocol.
  static func recognizes(_ file: Bytes) -> Bool {
    guard let start = file.slice(0, min(file.count, 64)), let first = try? PickleMachine.run(start).heap
    else {
      return false
    }
    switch first.node(first.root) {
    case .bigInteger(let bytes): return bytes.array == magic
    case .string(let digits): return digits == magicDigits
    default: return false
    }
  }

  /// Reads the structure of `file`; the storages' bytes stay where they are.
  init(_ file: Bytes, limits: Limits) throws(CheckpointError) {
    var position = 0
    func next() throws(CheckpointError) -> PickleHeap {
      let (heap, end) = try PickleMachine.run(file, at: position, limits: limits)
      position = end
      return heap
    }
    _ = try next()  // the magic number
    let version = try next()
    guard version.root == .int(TorchLegacy.version) else {
      throw CheckpointError(.unsupported, "is a torch stream of another version than \(TorchLegacy.version).")
    }
    _ = try next()  // sys_info
    let object = try next()
    let keys = try next()
    let storages = try TorchLegacy.readStorages(object, keys, ByteReader(file, at: position))

    pickle = TorchPickle(object) { reference throws(CheckpointError) in
      guard let storage = storages[reference.key] else {
        throw CheckpointError(
          .missingRecord, "the file refers to this storage but does not hold it. Get the file again.",
          record: reference.key)
      }
      return try storage.part(reference)
    }
  }

  /// The storages behind the pickles, by their keys.
  private static func readStorages(
    _ object: PickleHeap, _ keys: PickleHeap, _ start: ByteReader
  ) throws(CheckpointError) -> [String: LegacyStorage] {
    var references: [String: StorageReference] = [:]
    let pickle = TorchPickle(plain: object)
    for case .persistent(let identifier) in object.nodes {
      if let reference = try pickle.storageReference(identifier) { references[reference.key] = reference }
    }
    guard let listed = keys.sequence(keys.root) else {
      throw CheckpointError(.malformed, "has no list of its storages. Get the file again.")
    }

    var reader = start
    var storages: [String: LegacyStorage] = [:]
    for element in listed {
      guard let key = keys.storageKey(element), let reference = references[key] else {
        throw CheckpointError(.malformed, "lists a storage that nothing in it refers to. Get the file again.")
      }
      let count = try reader.read(Int64.self)
      guard count == reference.elementCount, let byteCount = reference.byteCount else {
        throw CheckpointError(
          .outsideStorage,
          "this storage has \(count) elements where \(reference.elementCount) are declared. Get the file again.",
          record: key)
      }
      let storage = LegacyStorage(bytes: try reader.readBytes(byteCount), dtype: reference.dtype)
      guard storages.updateValue(storage, forKey: key) == nil else {
        throw CheckpointError(.malformed, "lists this storage twice. Get the file again.", record: key)
      }
    }
    return storages
  }
}

/// A storage in a stream, as it lies there.
private struct LegacyStorage: Sendable {
  let bytes: Bytes
  let dtype: DType

  /// All of the storage, or the view of it that `reference` names.
  func part(_ reference: StorageReference) throws(CheckpointError) -> Storage {
    guard reference.dtype.size == dtype.size else {
      throw CheckpointError(
        .malformed,
        "this storage is \(dtype) in one place and \(reference.dtype) in another. Get the file again.",
        record: reference.key)
    }
    let view = reference.view ?? .init(key: "", offset: 0, elementCount: reference.elementCount)
    let (offset, overflow) = view.offset.multipliedReportingOverflow(by: dtype.size)
    let (count, overflow2) = view.elementCount.multipliedReportingOverflow(by: dtype.size)
    guard !overflow, !overflow2, let slice = bytes.slice(offset, count) else {
      throw CheckpointError(
        .outsideStorage, "a part of this storage reaches beyond its end. Get the file again.",
        record: reference.key)
    }
    return Storage(.bytes(slice), byteCount: count, origin: reference.key, device: reference.device)
  }
}
