// NumPy's .npz: a zip archive of .npy files, stored by numpy.savez, deflated by savez_compressed.
//
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

enum NPZ {
  private static let suffix = ".npy"
  /// Where a header of version 1 ends at the latest.
  private static let headerPrefix = 66_000

  /// Whether `archive` holds arrays and nothing else.
  static func recognizes(_ archive: ZipArchive) -> Bool {
    !archive.records.isEmpty && archive.records.allSatisfy { $0.name.hasSuffix(suffix) }
  }

  /// The arrays by their names; those of objects and texts are no tensors.
  ///
  /// Only the headers are read: what is compressed is inflated when its elements are asked for.
  static func read(_ archive: ZipArchive) throws(CheckpointError) -> StateDict {
    var stateDict = StateDict()
    for record in archive.records {
      let name = String(record.name.dropLast(suffix.count))
      do throws(CheckpointError) {
        guard let tensor = try read(record) else {
          stateDict.otherEntries.append(name)
          continue
        }
        try stateDict.append(name, tensor)
      } catch {
        throw error.inRecord(record.name)
      }
    }
    return stateDict
  }

  /// The array in `record`, or nil when its elements are no numbers.
  private static func read(_ record: ZipRecord) throws(CheckpointError) -> Tensor? {
    let start = try record.prefix(headerPrefix)
    guard NPY.recognizes(start) else {
      throw CheckpointError(.malformed, "is no .npy file, though its name says so. Get the file again.")
    }
    let header = try NPY.Header(start)
    guard let (dtype, isBigEndian) = NPY.elementType(header.description) else { return nil }
    let data = Storage.Source.generated { () throws(CheckpointError) in
      let bytes = try record.bytes()
      guard let data = bytes.slice(header.size, bytes.count - header.size) else {
        throw CheckpointError(.truncated, "ends in its header. Get the file again.", record: record.name)
      }
      return isBigEndian ? data.swappingBytes(ofElements: dtype.componentSize) : data
    }
    let byteCount = record.entry.uncompressedSize - header.size
    return try header.tensor(
      dtype, Storage(data, byteCount: max(byteCount, 0), origin: record.name))
  }
}
