// What torch.save writes of a state dict (torch 2.13): a stored zip archive under one folder. Tensors that share a
// storage go on to share it.
//
//   data.pkl               an OrderedDict of tensors, whose storages are persistent ids
//   .format_version        "1"
//   .storage_alignment     "64"
//   byteorder              "little"
//   data/0, data/1, …      the storages, each once, however many tensors share it
//   version                "3\n"
//   .data/serialization_id a number that tells files with other content apart

/// Where everything in such an archive goes.
struct TorchLayout: FileLayout {
  private(set) var pieces: [FilePiece] = []
  private var archive = ZipLayout()
  /// The small records, by their place in the archive.
  private var texts: [Int: Bytes] = [:]
  /// The places of `pieces` in the archive.
  private var storagePlaces: [Int] = []

  /// The folder that torch.save gives a file: its name without what follows the last dot.
  private static func folder(_ path: String) -> String {
    let name = path.split(separator: "/").last.map(String.init) ?? ""
    let stem = name.lastIndex(of: ".").map { String(name[..<$0]) } ?? name
    return stem.isEmpty || stem.utf8.count > 200 ? "archive" : stem
  }

  init(_ stateDict: StateDict, path: String) throws(CheckpointError) {
    let folder = TorchLayout.folder(path)
    let storages = try TorchStorages(stateDict)
    try append(folder + "/data.pkl", storages.pickle(stateDict))
    try append(folder + "/.format_version", Array("1".utf8))
    try append(folder + "/.storage_alignment", Array("64".utf8))
    try append(folder + "/byteorder", Array("little".utf8))
    for (key, storage) in storages.all.enumerated() {
      let record = try archive.append(
        "\(folder)/data/\(key)", byteCount: storage.byteCount, for: storage.name)
      storagePlaces.append(archive.records.count - 1)
      pieces.append(
        FilePiece(
          name: storage.name, offset: record.offset, byteCount: storage.byteCount, content: storage.content))
    }
    try append(folder + "/version", Array("3\n".utf8))
    // As long for any content; what it says is settled with the checksums.
    try append(folder + "/.data/serialization_id", TorchLayout.identity([]))
  }

  private mutating func append(_ name: String, _ content: [UInt8]) throws(CheckpointError) {
    _ = try archive.append(name, byteCount: content.count)
    texts[archive.records.count - 1] = Bytes(content)
  }

  func framing(_ checksums: [UInt32]) -> [(offset: Int, bytes: Bytes)] {
    var texts = texts
    texts[archive.records.count - 1] = Bytes(TorchLayout.identity(checksums))
    var sums = [UInt32](repeating: 0, count: archive.records.count)
    for (place, sum) in zip(storagePlaces, checksums) { sums[place] = sum }
    for (place, text) in texts { sums[place] = crc32(text) }
    return archive.framing(sums)
      + texts.sorted { $0.key < $1.key }.map { (archive.records[$0.key].offset, $0.value) }
  }

  /// Forty digits that depend on the content: two hashes of the checksums (FNV-1a).
  private static func identity(_ checksums: [UInt32]) -> [UInt8] {
    var hashes: [UInt64] = [0xCBF2_9CE4_8422_2325, 0x9E37_79B9_7F4A_7C15]
    for sum in checksums {
      for index in hashes.indices { hashes[index] = (hashes[index] ^ UInt64(sum)) &* 0x100_0000_01B3 }
    }
    return hashes.flatMap { hash in
      let digits = String(hash)
      return Array((String(repeating: "0", count: 20 - digits.count) + digits).utf8)
    }
  }
}

/// The storages of a state dict, in the order in which torch.save would number them.
private struct TorchStorages {
  /// What goes into one record.
  struct Element {
    /// The first tensor that it is for.
    let name: String
    let byteCount: Int
    let dtype: DType
    let content: FilePiece.Content
  }

  private(set) var all: [Element] = []
  /// For each tensor, its storage's number.
  private var numbers: [Int] = []

  init(_ stateDict: StateDict) throws(CheckpointError) {
    var known: [ObjectIdentifier: Int] = [:]
    for (name, tensor) in stateDict {
      let identity = ObjectIdentifier(tensor.storage)
      if let number = known[identity], all[number].dtype == tensor.dtype {
        numbers.append(number)
        continue
      }
      known[identity] = all.count
      numbers.append(all.count)
      all.append(
        Element(
          name: name, byteCount: tensor.storage.byteCount, dtype: tensor.dtype,
          content: .storage(tensor.storage)))
    }
  }

  /// The class of a storage with elements of this type; nil for the types that came later and have none.
  private static func className(_ dtype: DType) -> String? {
    DType.storageClasses.first { $0.dtype == dtype && !dtype.isQuantized }?.name
  }

  /// The state dict as an OrderedDict.
  func pickle(_ stateDict: StateDict) -> [UInt8] {
    var pickle = PickleWriter()
    pickle.global("collections", "OrderedDict")
    pickle.opcode(")")
    pickle.opcode("R")
    pickle.memoize()
    if stateDict.count == 1 {
      append(0, stateDict, to: &pickle)
      pickle.opcode("s")
    } else if stateDict.count > 1 {
      // Python's pickler sets a thousand entries at a time.
      for start in stride(from: 0, to: stateDict.count, by: 1000) {
        let end = min(stateDict.count, start + 1000)
        if end - start == 1 {
          append(start, stateDict, to: &pickle)
          pickle.opcode("s")
          continue
        }
        pickle.opcode("(")
        for index in start..<end { append(index, stateDict, to: &pickle) }
        pickle.opcode("u")
      }
    }
    pickle.opcode(".")
    return pickle.bytes
  }

  /// A name and `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, backward_hooks)`; types without a
  /// class of storage take `_rebuild_tensor_v3`, which is told the type at the end.
  private func append(_ index: Int, _ stateDict: StateDict, to pickle: inout PickleWriter) {
    let (name, tensor) = stateDict[index]
    let storage = all[numbers[index]]
    let className = TorchStorages.className(storage.dtype)
    pickle.text(name)
    pickle.global("torch._utils", className == nil ? "_rebuild_tensor_v3" : "_rebuild_tensor_v2")
    pickle.opcode("(")
    pickle.opcode("(")
    pickle.text("storage")
    pickle.global(className == nil ? "torch.storage" : "torch", className ?? "UntypedStorage")
    pickle.text(String(numbers[index]))
    pickle.text("cpu")
    pickle.int(className == nil ? storage.byteCount : storage.byteCount / storage.dtype.size)
    pickle.opcode("t")
    pickle.memoize()
    pickle.opcode("Q")
    pickle.int(tensor.storageOffset)
    pickle.tuple(tensor.shape)
    pickle.tuple(tensor.strides)
    pickle.no()
    pickle.global("collections", "OrderedDict")
    pickle.opcode(")")
    pickle.opcode("R")
    pickle.memoize()
    if className == nil { pickle.global("torch", storage.dtype.rawValue) }
    pickle.opcode("t")
    pickle.memoize()
    pickle.opcode("R")
    pickle.memoize()
  }
}
