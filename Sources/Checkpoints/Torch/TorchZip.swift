// The container of torch ≥ 1.6: a zip archive with one top folder of any name.
//
//   archive/data.pkl        the object that was saved, as a pickle
//   archive/data/0 …        one record for each storage: its bytes
//   archive/byteorder       "little" or "big"; older files have none and are little
//   archive/version, archive/.format_version, archive/.storage_alignment   not needed to read
//
// https://docs.pytorch.org/docs/stable/notes/serialization.html

struct TorchZip {
  let archive: ZipArchive
  let pickle: TorchPickle

  init(_ file: Bytes, limits: Limits) throws(CheckpointError) {
    let archive = try ZipArchive(file, limits: limits)
    let top = try TorchZip.topFolder(archive)
    try TorchZip.checkByteOrder(archive, top)
    guard let record = archive[top + "data.pkl"] else { throw TorchZip.notTorch }
    let heap: PickleHeap
    do throws(CheckpointError) {
      heap = try PickleMachine.run(record.bytes(), limits: limits).heap
    } catch {
      throw error.inRecord(record.name)
    }

    self.archive = archive
    pickle = TorchPickle(heap: heap) { reference throws(CheckpointError) in
      try TorchZip.storage(
        reference, archive[top + "data/" + reference.key], named: top + "data/" + reference.key)
    }
  }

  private static func storage(
    _ reference: StorageReference, _ record: ZipRecord?, named name: String
  ) throws(CheckpointError) -> Storage {
    guard let record else {
      throw CheckpointError(
        .missingRecord, "the file refers to this record but does not hold it. Get the file again.",
        record: name)
    }
    guard reference.view == nil else {
      throw CheckpointError(.malformed, "has a part of a storage, which only old files have.", record: name)
    }
    guard let byteCount = reference.byteCount, byteCount <= record.entry.uncompressedSize else {
      throw CheckpointError(
        .outsideStorage,
        "its storage declares \(reference.elementCount) elements of \(reference.dtype), but holds "
          + "\(record.entry.uncompressedSize) bytes. Get the file again.",
        record: record.name)
    }
    return Storage(.record(record), byteCount: byteCount, origin: record.name, device: reference.device)
  }

  private static let notTorch = CheckpointError(
    .notACheckpoint, "is a zip archive, but holds no data.pkl, so torch.save did not write it.")

  /// The folder that `data.pkl` lies in, with its slash.
  private static func topFolder(_ archive: ZipArchive) throws(CheckpointError) -> String {
    let name = "data.pkl"
    var folders: [String] = []
    for record in archive.records where record.name.utf8.count >= name.utf8.count {
      let folder = record.name.utf8.dropLast(name.utf8.count)
      guard record.name.utf8.suffix(name.utf8.count).elementsEqual(name.utf8) else { continue }
      if folder.isEmpty || folder.last == UInt8(ascii: "/") {
        folders.append(String(decoding: folder, as: UTF8.self))
      }
    }
    guard let first = folders.first else { throw notTorch }
    guard folders.count == 1 else {
      throw CheckpointError(
        .ambiguous,
        "holds several checkpoints: " + folders.map { quoted($0 + name) }.joined(separator: ", ")
          + ". Unpack the one you want.")
    }
    return first
  }

  private static func checkByteOrder(_ archive: ZipArchive, _ top: String) throws(CheckpointError) {
    guard let record = archive[top + "byteorder"] else { return }
    let order = try record.bytes().utf8
    guard order == "little" else {
      throw CheckpointError(
        .unsupported,
        "is \(quoted(order ?? "?")); only little-endian files are read yet. Save it again on a little-endian machine.",
        record: record.name)
    }
  }
}
