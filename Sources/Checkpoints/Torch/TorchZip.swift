// The container of torch ≥ 1.6, and of TorchScript: a zip archive with one top folder of any name.
//
//   archive/data.pkl        the object that was saved, as a pickle
//   archive/data/0 …        one record for each storage: its bytes (`tensors/0` in early TorchScript)
//   archive/byteorder       "little" or "big"; older files have none and are little
//   archive/constants.pkl, archive/constants/0 …, archive/code/     in TorchScript files
//   archive/version, archive/.format_version, archive/.storage_alignment   not needed to read
//
// https://docs.pytorch.org/docs/stable/notes/serialization.html

struct TorchZip {
  /// What was saved, then the constants of a TorchScript file.
  let pickles: [TorchPickle]
  /// Whether TorchScript wrote the archive.
  let isScript: Bool
  /// The folder that the records lie in, with its slash.
  let top: String

  /// Whether `archive` holds a pickle where torch puts it.
  static func recognizes(_ archive: ZipArchive) -> Bool { !folders(archive).isEmpty }

  init(_ archive: ZipArchive, fileSize: Int, limits: Limits) throws(CheckpointError) {
    let folders = TorchZip.folders(archive)
    guard let top = folders.first else {
      throw CheckpointError(
        .notACheckpoint, "is a zip archive, but holds no data.pkl, so torch.save did not write it.")
    }
    guard folders.count == 1 else {
      throw CheckpointError(
        .ambiguous,
        "holds several checkpoints: " + folders.map { quoted($0 + "data.pkl") }.joined(separator: ", ")
          + ". Unpack the one you want.")
    }
    let swaps = try TorchZip.isBigEndian(archive, top)
    let isScript = archive[top + "constants.pkl"] != nil

    func pickle(_ name: String, folders: [String]) throws(CheckpointError) -> TorchPickle {
      guard let record = archive[top + name] else {
        throw CheckpointError(
          .missingRecord, "is not in the archive. Get the file again.", record: top + name)
      }
      let heap: PickleHeap
      do throws(CheckpointError) {
        heap = try PickleMachine.run(record.pickleBytes(), fileSize: fileSize, limits: limits).heap
      } catch {
        throw error.inRecord(record.name)
      }
      return TorchPickle(heap) { reference throws(CheckpointError) in
        let record = folders.lazy.compactMap { archive[$0 + reference.key] }.first
        guard let record else {
          throw CheckpointError(
            .missingRecord, "the file refers to this record but does not hold it. Get the file again.",
            record: folders[0] + reference.key)
        }
        return try TorchZip.storage(reference, record, swaps: swaps)
      }
    }

    var pickles = [try pickle("data.pkl", folders: [top + "data/", top + "tensors/"])]
    if isScript {
      pickles[0].scriptClasses = ScriptClasses(archive, folder: top)
      pickles.append(try pickle("constants.pkl", folders: [top + "constants/", top + "tensors/"]))
      pickles[1].name = "constants"
    }
    self.pickles = pickles
    self.isScript = isScript
    self.top = top
  }

  private static func storage(
    _ reference: StorageReference, _ record: ZipRecord, swaps: Bool
  ) throws(CheckpointError) -> Storage {
    guard reference.view == nil else {
      throw CheckpointError(
        .malformed, "has a part of a storage, which only old files have.", record: record.name)
    }
    guard let byteCount = reference.byteCount, byteCount <= record.entry.uncompressedSize else {
      throw CheckpointError(
        .outsideStorage,
        "its storage declares \(reference.elementCount) elements of \(reference.dtype), but holds "
          + "\(record.entry.uncompressedSize) bytes. Get the file again.",
        record: record.name)
    }
    // Inflating takes memory, which only what is used justifies.
    guard record.entry.isStored || record.entry.uncompressedSize - byteCount <= TorchZip.mostUnused else {
      throw CheckpointError(
        .limitExceeded,
        "inflates to \(record.entry.uncompressedSize) bytes, of which its storage needs \(byteCount). Get the file again.",
        record: record.name)
    }
    var source = Storage.Source.record(record)
    let size = reference.componentSize
    if swaps, size > 1 {
      source = .generated { () throws(CheckpointError) in try record.bytes().swappingBytes(ofElements: size) }
    }
    return Storage(source, byteCount: byteCount, origin: record.name, device: reference.device)
  }

  /// Bytes that a compressed record may hold beyond its storage.
  private static let mostUnused = 1 << 20

  /// The folders that hold a `data.pkl`, with their slashes.
  private static func folders(_ archive: ZipArchive) -> [String] {
    let name = "data.pkl"
    return archive.records.compactMap { record in
      guard record.name.utf8.suffix(name.utf8.count).elementsEqual(name.utf8) else { return nil }
      let folder = String(decoding: record.name.utf8.dropLast(name.utf8.count), as: UTF8.self)
      return folder.isEmpty || folder.utf8.last == UInt8(ascii: "/") ? folder : nil
    }
  }

  /// Whether the record `byteorder` says that the storages are big-endian.
  static func isBigEndian(_ archive: ZipArchive, _ top: String) throws(CheckpointError) -> Bool {
    guard let record = archive[top + "byteorder"] else { return false }
    switch try record.pickleBytes().utf8 {
    case "little": return false
    case "big": return true
    case let order:
      throw CheckpointError(
        .unsupported, "is \(quoted(order ?? "?")), where \"little\" or \"big\" is due.", record: record.name)
    }
  }
}
