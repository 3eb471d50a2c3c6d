// The archive of torch.export.save, .pt2: a zip archive with one top folder of any name.
//
//   archive/archive_format                             "pt2"
//   archive/byteorder                                  "little" or "big"
//   archive/data/weights/model_weights_config.json     {"config": {name: entry, …}}, the state dict
//   archive/data/weights/weight_0 …                    one record for each storage: its bytes
//   archive/models/model.json, archive/data/constants/, archive/data/sample_inputs/    the program
//
// where an entry is {"path_name": "weight_0", "use_pickle": false, "tensor_meta": {"dtype": 7, "layout": 7,
// "sizes": [{"as_int": 2}, …], "strides": […], "storage_offset": {"as_int": 0}}}, with numbers for types and
// layouts as in torch/_export/serde/schema.py.
//
// https://docs.pytorch.org/docs/stable/export/pt2_archive.html

enum TorchExport {
  /// The top folder of `archive`, with its slash, if torch.export wrote it.
  static func folder(_ archive: ZipArchive) -> String? {
    let name = "archive_format"
    let record = archive.records.first { record in
      record.name.hasSuffix(name) && (try? record.prefix(16))?.utf8 == "pt2"
    }
    return record.map { String($0.name.dropLast(name.count)) }
  }

  /// The state dict of the program in the folder `top`.
  static func read(
    _ archive: ZipArchive, _ top: String, limits: Limits
  ) throws(CheckpointError) -> StateDict {
    let folder = top + "data/weights/"
    let config = try config(archive, folder)
    let swaps = try TorchZip.isBigEndian(archive, top)
    var entries: [Entry] = []
    do throws(CheckpointError) {
      let json = try JSON(
        parsing: config.pickleBytes(), limits: limits, longestArray: limits.tensorDimensions)
      guard let members = json["config"]?.object else { throw malformed }
      for (name, value) in members { entries.append(try Entry(name, value)) }
    } catch {
      throw error.inRecord(config.name)
    }

    // What a storage needs to hold is what its tensors reach.
    var needs: [CodeUnitKey: Int] = [:]
    for entry in entries { needs[entry.storageKey] = max(needs[entry.storageKey] ?? 0, entry.end) }
    var storages: [CodeUnitKey: Storage] = [:]
    var stateDict = StateDict()
    for entry in entries {
      do throws(CheckpointError) {
        let key = entry.storageKey
        if storages[key] == nil {
          storages[key] = try storage(archive, folder, entry, needs[key] ?? 0, swaps: swaps)
        }
        guard let storage = storages[key] else { continue }
        try stateDict.append(
          entry.name,
          Tensor(
            dtype: entry.dtype, shape: entry.shape, strides: entry.strides, storageOffset: entry.offset,
            storage: storage))
      } catch {
        throw error.forTensor(entry.name)
      }
    }
    return stateDict
  }

  /// The record that says what the weights are.
  private static func config(_ archive: ZipArchive, _ folder: String) throws(CheckpointError) -> ZipRecord {
    let configs = archive.records.filter {
      $0.name.hasPrefix(folder) && $0.name.hasSuffix("_weights_config.json")
    }
    guard let config = configs.first else {
      throw CheckpointError(
        .unsupported,
        "is an archive of torch.export without the weights of a state dict. "
          + "Save state_dict() of the model with torch.save.")
    }
    guard configs.count == 1 else {
      throw CheckpointError(
        .ambiguous,
        "is an archive of torch.export that holds several models: "
          + configs.prefix(20).map { quoted($0.name) }.joined(separator: ", ")
          + ". Save the state_dict of the one you want with torch.save.")
    }
    return config
  }

  private static func storage(
    _ archive: ZipArchive, _ folder: String, _ entry: Entry, _ needed: Int, swaps: Bool
  ) throws(CheckpointError) -> Storage {
    guard let record = archive[folder + entry.path] else {
      throw CheckpointError(
        .missingRecord, "the file refers to this record but does not hold it. Get the file again.",
        record: folder + entry.path)
    }
    let count = min(needed, record.entry.uncompressedSize)
    let size = entry.dtype.componentSize
    guard swaps, size > 1 else { return Storage(.record(record), byteCount: count, origin: record.name) }
    let source = Storage.Source.generated { () throws(CheckpointError) in
      try record.bytes(in: 0..<count).swappingBytes(ofElements: size)
    }
    return Storage(source, byteCount: count, origin: record.name)
  }

  private static var malformed: CheckpointError {
    CheckpointError(.malformed, "is not written as torch.export writes it. Get the file again.")
  }

  /// What the configuration says of one tensor.
  private struct Entry {
    let name: String
    let path: String
    let dtype: DType
    let shape: [Int]
    let strides: [Int]
    let offset: Int

    init(_ name: String, _ value: JSON) throws(CheckpointError) {
      let meta = value["tensor_meta"] ?? .null
      guard let path = value["path_name"]?.string,
        case .bool(let isPickle) = value["use_pickle"] ?? .bool(false),
        let code = meta["dtype"]?.int, let layout = meta["layout"]?.int, let sizes = meta["sizes"]?.array,
        let strides = meta["strides"]?.array
      else { throw malformed.forTensor(name) }
      // Layout 7 is strided; the others, and subclasses of Tensor, are saved as pickles.
      guard !isPickle, layout == 7, let dtype = Entry.types[code] else {
        throw CheckpointError(
          .unsupported,
          "is no plain tensor that rsw knows. Save the state_dict of the exported program with torch.save.",
          key: name)
      }
      self.name = name
      self.path = path
      self.dtype = dtype
      shape = sizes.compactMap { $0["as_int"]?.int }
      self.strides = strides.compactMap { $0["as_int"]?.int }
      guard let offset = meta["storage_offset"]?["as_int"]?.int, shape.count == sizes.count,
        self.strides.count == strides.count
      else { throw malformed.forTensor(name) }
      self.offset = offset
    }

    /// The tensors of one record share a storage, unless the sizes of their elements differ, by which
    /// bytes are swapped.
    var storageKey: CodeUnitKey { CodeUnitKey("\(dtype.componentSize) \(path)") }

    /// Where the tensor ends in its storage, in bytes; `Int.max` where that can't be, which `Tensor` refuses.
    var end: Int {
      if shape.contains(0) { return 0 }
      guard let last = Tensor.lastElement(shape, strides, offset) else { return .max }
      let (end, overflow) = last.addingReportingOverflow(1)
      let (bytes, overflow2) = end.multipliedReportingOverflow(by: dtype.size)
      return overflow || overflow2 ? .max : max(bytes, 0)
    }

    /// `ScalarType` of the schema.
    private static let types: [Int: DType] = [
      1: .uint8, 2: .int8, 3: .int16, 4: .int32, 5: .int64, 6: .float16, 7: .float32, 8: .float64,
      9: .complex32, 10: .complex64, 11: .complex128, 12: .bool, 13: .bfloat16, 28: .uint16,
      29: .float8_e4m3fn, 30: .float8_e5m2, 31: .float8_e4m3fnuz, 32: .float8_e5m2fnuz, 33: .float8_e8m0fnu,
      34: .uint32, 35: .uint64,
    ]
  }
}
