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

  /// A part of a storage that files of old PyTorch treat as a storage of its own.
  struct View: Sendable, Equatable {
    let key: String
    /// In elements.
    let offset: Int
    let elementCount: Int
  }

  /// The storage's size, or nil when no memory is so large.
  var byteCount: Int? {
    let (count, overflow) = elementCount.multipliedReportingOverflow(by: dtype.size)
    return overflow ? nil : count
  }
}

extension PickleHeap {
  /// The storage that a persistent id names; nil when it names something else.
  ///
  /// - Throws: `.malformed` when it is not written as PyTorch writes it, `.unsupported` for an unknown class.
  func storageReference(_ identifier: PickleValue) throws(CheckpointError) -> StorageReference? {
    guard let parts = sequence(identifier), let kind = parts.first, string(kind) == "storage" else {
      return nil
    }
    guard parts.count >= 5, let className = globalName(parts[1]), let key = storageKey(parts[2]),
      let elements = int(parts[4]), elements >= 0
    else { throw PickleHeap.unknownStorage }
    var reference = StorageReference(
      key: key, dtype: try storageType(className), elementCount: elements, device: string(parts[3]) ?? "cpu")
    if parts.count > 5, parts[5] != .none { reference.view = try storageView(parts[5]) }
    return reference
  }

  private func storageView(_ value: PickleValue) throws(CheckpointError) -> StorageReference.View {
    guard let parts = sequence(value), parts.count == 3, let key = storageKey(parts[0]),
      let offset = int(parts[1]),
      let elements = int(parts[2]), offset >= 0, elements >= 0
    else { throw PickleHeap.unknownStorage }
    return StorageReference.View(key: key, offset: offset, elementCount: elements)
  }

  /// A storage's key: text or, in the oldest files, a number.
  func storageKey(_ value: PickleValue) -> String? {
    string(value) ?? int(value).map { String($0) }
  }

  private func storageType(_ className: String) throws(CheckpointError) -> DType {
    switch className {
    case "torch.storage.UntypedStorage", "torch.UntypedStorage": return .uint8
    default:
      // The class of a storage on a GPU lies in `torch.cuda`.
      let parts = className.split(separator: ".")
      if let name = parts.last, ["torch", "torch.cuda"].contains(parts.dropLast().joined(separator: ".")),
        let dtype = DType(storageClass: String(name))
      {
        return dtype
      }
      throw CheckpointError(.unsupported, "has a storage of the unknown class \(quoted(className)).")
    }
  }

  private static let unknownStorage = CheckpointError(
    .malformed, "has a storage that is not written as PyTorch writes it. Get the file again.")
}
