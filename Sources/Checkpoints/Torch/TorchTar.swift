// The container of torch before 0.1.12: a tar archive with four entries.
//
//   storages   pickle: how many; for each a pickle (key, device, class), the number of elements as
//              int64, the elements; then a pickle of views: [(key, key of the whole, offset, elements)]
//   tensors    pickle: how many; for each a pickle (key, key of its storage, class), the number of
//              dimensions as int32 in 8 bytes, sizes, strides and the offset as int64
//   pickle     the object that was saved; tensors and storages by persistent id, their key
//   sys_info   not needed to read
//
// torch/serialization.py, `legacy_load`

struct TorchTar {
  let pickle: TorchPickle

  init(_ archive: TarArchive, limits: Limits) throws(CheckpointError) {
    var tensors: [String: Tensor] = [:]
    let storages = try TorchTar.inEntry("storages") { () throws(CheckpointError) in
      try TorchTar.readStorages(archive.entry("storages"), limits)
    }
    try TorchTar.inEntry("tensors") { () throws(CheckpointError) in
      tensors = try TorchTar.readTensors(archive.entry("tensors"), storages, limits)
    }
    let heap = try TorchTar.inEntry("pickle") { () throws(CheckpointError) in
      try PickleMachine.run(archive.entry("pickle"), limits: limits).heap
    }
    var pickle = TorchPickle(plain: heap)
    pickle.persistentTensors = tensors
    self.pickle = pickle
  }

  /// Whether `archive` holds the entries that torch writes.
  static func recognizes(_ archive: TarArchive) -> Bool {
    ["storages", "tensors", "pickle"].allSatisfy { archive[$0] != nil }
  }

  private static func inEntry<Result>(
    _ name: String, _ work: () throws(CheckpointError) -> Result
  ) throws(CheckpointError) -> Result {
    do throws(CheckpointError) { return try work() } catch { throw error.inRecord(name) }
  }

  // MARK: Storages

  private struct TypedStorage {
    let storage: Storage
    let bytes: Bytes
    let dtype: DType
    let device: String
  }

  private static func readStorages(
    _ entry: Bytes, _ limits: Limits
  ) throws(CheckpointError) -> [String: TypedStorage] {
    var position = 0
    func next() throws(CheckpointError) -> TorchPickle {
      let (heap, end) = try PickleMachine.run(entry, at: position, limits: limits)
      position = end
      return TorchPickle(plain: heap)
    }
    var storages: [String: TypedStorage] = [:]
    for _ in 0..<(try count(next(), of: entry)) {
      let pickle = try next()
      guard let parts = pickle.heap.sequence(pickle.heap.root), parts.count == 3,
        let key = pickle.heap.storageKey(parts[0])
      else { throw malformed("describes a storage in an unknown way") }
      let dtype = try pickle.storageType(parts[2])
      var reader = ByteReader(entry, at: position)
      let elements = try reader.read(Int64.self)
      guard let byteCount = bytes(Int(elements), of: dtype) else {
        throw malformed("declares a storage of \(elements) elements")
      }
      let data = try reader.readBytes(byteCount)
      position = reader.position
      let device = pickle.heap.string(parts[1]) ?? "cpu"
      try add(data, dtype, device, as: key, to: &storages)
    }
    try readViews(next(), into: &storages)
    return storages
  }

  /// Parts of storages that count as storages of their own.
  private static func readViews(
    _ pickle: TorchPickle, into storages: inout [String: TypedStorage]
  ) throws(CheckpointError) {
    guard let views = pickle.heap.sequence(pickle.heap.root) else {
      throw malformed("has no list of its storages' views")
    }
    for view in views {
      guard let parts = pickle.heap.sequence(view), parts.count == 4,
        let key = pickle.heap.storageKey(parts[0]),
        let wholeKey = pickle.heap.storageKey(parts[1]), let offset = pickle.heap.int(parts[2]),
        let elements = pickle.heap.int(parts[3])
      else { throw malformed("describes a view of a storage in an unknown way") }
      guard let whole = storages[wholeKey] else {
        throw CheckpointError(
          .missingRecord,
          "has a view of storage \(quoted(wholeKey)), which it does not hold. Get the file again.")
      }
      guard let start = bytes(offset, of: whole.dtype), let count = bytes(elements, of: whole.dtype),
        let part = whole.bytes.slice(start, count)
      else {
        throw CheckpointError(
          .outsideStorage,
          "has a view that reaches beyond its storage \(quoted(wholeKey)). Get the file again.")
      }
      try add(part, whole.dtype, whole.device, as: key, to: &storages)
    }
  }

  private static func add(
    _ bytes: Bytes, _ dtype: DType, _ device: String, as key: String,
    to storages: inout [String: TypedStorage]
  ) throws(CheckpointError) {
    let storage = Storage(.bytes(bytes), byteCount: bytes.count, origin: key, device: device)
    let typed = TypedStorage(storage: storage, bytes: bytes, dtype: dtype, device: device)
    guard storages.updateValue(typed, forKey: key) == nil else {
      throw malformed("holds storage \(quoted(key)) twice")
    }
  }

  /// The size of `count` elements, or nil when none can be so large.
  private static func bytes(_ count: Int, of dtype: DType) -> Int? {
    let (bytes, overflow) = count.multipliedReportingOverflow(by: dtype.size)
    return overflow || count < 0 ? nil : bytes
  }

  // MARK: Tensors

  private static func readTensors(
    _ entry: Bytes, _ storages: [String: TypedStorage], _ limits: Limits
  ) throws(CheckpointError) -> [String: Tensor] {
    var tensors: [String: Tensor] = [:]
    var (first, position) = try PickleMachine.run(entry, limits: limits)
    for _ in 0..<(try count(TorchPickle(plain: first), of: entry)) {
      (first, position) = try PickleMachine.run(entry, at: position, limits: limits)
      guard let parts = first.sequence(first.root), parts.count == 3, let key = first.storageKey(parts[0]),
        let storageKey = first.storageKey(parts[1])
      else { throw malformed("describes a tensor in an unknown way") }
      guard let storage = storages[storageKey] else {
        throw CheckpointError(
          .missingRecord,
          "has a tensor over storage \(quoted(storageKey)), which it does not hold. Get the file again."
        )
      }
      var reader = ByteReader(entry, at: position)
      let rank = Int(try reader.read(Int32.self))
      try reader.skip(4)
      guard rank >= 0, rank <= limits.tensorDimensions else {
        throw malformed("has a tensor of \(rank) dimensions")
      }
      let shape = try readInts(rank, &reader)
      let strides = try readInts(rank, &reader)
      let offset = Int(try reader.read(Int64.self))
      position = reader.position
      tensors[key] = try Tensor(
        dtype: storage.dtype, shape: shape, strides: strides, storageOffset: offset, storage: storage.storage)
    }
    return tensors
  }

  private static func readInts(_ count: Int, _ reader: inout ByteReader) throws(CheckpointError) -> [Int] {
    var result: [Int] = []
    for _ in 0..<count { result.append(Int(try reader.read(Int64.self))) }
    return result
  }

  /// How many pickles follow in `entry`; each takes some bytes.
  private static func count(_ pickle: TorchPickle, of entry: Bytes) throws(CheckpointError) -> Int {
    guard let count = pickle.heap.int(pickle.heap.root), count >= 0, count <= entry.count else {
      throw malformed("declares a number of parts that it can't hold")
    }
    return count
  }

  private static func malformed(_ fact: String) -> CheckpointError {
    CheckpointError(.malformed, fact + ". Get the file again.")
  }
}
