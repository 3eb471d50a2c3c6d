// How a torch pickle refers to a storage: by a persistent id, a tuple that only PyTorch's own reader
// knows what to do with.
//
//   ('storage', class, key, device, elements)           zip files
//   ('storage', class, key, device, elements, view)     files of torch before 1.6: view is None or
//                                                       (key, offset, elements)

/// A storage as a pickle's persistent id names it.
struct StorageReference: Sendable {
  /// What the storage is called in its container, such as `0`.
  let key: String
  /// The type of its elements; `uint8` for untyped storages.
  let dtype: DType
  /// The number of its elements.
  let elementCount: Int
  /// The device that it was saved from.
  let device: String
  /// The part of it that is meant, where an old file says so.
  var view: View?
  /// The size of the numbers in it, which files of the other byte order have to be told.
  var componentSize: Int

  /// A part of a storage that files of old PyTorch treat as a storage of its own.
  struct View: Sendable, Equatable {
    let key: String
    /// In elements.
    let offset: Int
    let elementCount: Int
  }

  /// The storage's size, or nil when no memory is so large.
  var byteCount: Int? {
    // Elements of less than a byte are counted as the bytes that they share.
    let (count, overflow) = elementCount.multipliedReportingOverflow(by: dtype.size)
    return overflow ? nil : count
  }
}

extension TorchPickle {
  /// The storage that a persistent id names; nil when it names something else.
  ///
  /// - Throws: `.malformed` when it is not written as PyTorch writes it, `.unsupported` for an unknown class.
  func storageReference(_ identifier: PickleValue) throws(CheckpointError) -> StorageReference? {
    guard case .tuple(let parts)? = heap.node(identifier), let kind = parts.first,
      heap.string(kind) == "storage"
    else { return nil }
    guard parts.count >= 5, let key = heap.storageKey(parts[2]), let elements = heap.int(parts[4]),
      elements >= 0
    else { throw TorchPickle.unknownStorage }
    let dtype = try storageType(parts[1])
    var reference = StorageReference(
      key: key, dtype: dtype, elementCount: elements, device: heap.string(parts[3]) ?? "cpu",
      componentSize: dtype.componentSize)
    if parts.count > 5, parts[5] != .none { reference.view = try storageView(parts[5]) }
    return reference
  }

  private func storageView(_ value: PickleValue) throws(CheckpointError) -> StorageReference.View {
    guard let parts = heap.sequence(value), parts.count == 3, let key = heap.storageKey(parts[0]),
      let offset = heap.int(parts[1]), let elements = heap.int(parts[2]), offset >= 0, elements >= 0
    else { throw TorchPickle.unknownStorage }
    return StorageReference.View(key: key, offset: offset, elementCount: elements)
  }

  /// The type of the elements of a storage class.
  func storageType(_ storageClass: PickleValue) throws(CheckpointError) -> DType {
    if case .storage(let dtype)? = known(storageClass) { return dtype }
    guard let name = heap.globalName(storageClass) else { throw TorchPickle.unknownStorage }
    throw CheckpointError(.unsupported, "has a storage of the unknown class \(quoted(name)).")
  }

  private static let unknownStorage = CheckpointError(
    .malformed, "has a storage that is not written as PyTorch writes it. Get the file again.")
}

extension PickleHeap {
  /// A storage's key: text or, in the oldest files, a number.
  func storageKey(_ value: PickleValue) -> String? {
    string(value) ?? int(value).map { String($0) }
  }
}
