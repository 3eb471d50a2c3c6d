// NumPy's .npz: a zip archive of .npy files, stored by numpy.savez, deflated by savez_compressed.
//
// https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

enum NPZ {
  private static let suffix = ".npy"

  /// Whether `archive` holds arrays, and no other member that is a checkpoint.
  static func recognizes(_ archive: ZipArchive, limits: Limits) -> Bool {
    let others = archive.records.filter { !isArray($0) }
    return others.count < archive.records.count
      && !others.contains { ZipMembers.isCheckpoint($0, limits) }
  }

  private static func isArray(_ record: ZipRecord) -> Bool { record.name.hasSuffix(suffix) }

  /// The arrays by their names; those of objects and texts are no tensors, nor are other members.
  ///
  /// Only the headers are read: what is compressed is inflated when its elements are asked for.
  static func read(_ archive: ZipArchive, limits: Limits) throws(CheckpointError) -> StateDict {
    var stateDict = StateDict()
    for record in archive.records {
      guard isArray(record) else {
        stateDict.otherEntries.append(record.name)
        continue
      }
      let name = String(record.name.dropLast(suffix.count))
      do throws(CheckpointError) {
        guard let tensor = try read(record, limits) else {
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
  private static func read(_ record: ZipRecord, _ limits: Limits) throws(CheckpointError) -> Tensor? {
    let header = try header(of: record, limits)
    guard let (dtype, isBigEndian) = NPY.elementType(header.description) else { return nil }
    let data = Storage.Source.generated { () throws(CheckpointError) in
      let data = try record.bytes(in: header.size..<max(record.entry.uncompressedSize, header.size))
      return isBigEndian ? data.swappingBytes(ofElements: dtype.componentSize) : data
    }
    let byteCount = record.entry.uncompressedSize - header.size
    return try header.tensor(
      dtype, Storage(data, byteCount: max(byteCount, 0), origin: record.name))
  }

  /// The header at the start of `record`, of which no more is inflated than that.
  private static func header(of record: ZipRecord, _ limits: Limits) throws(CheckpointError) -> NPY.Header {
    let start = try record.prefix(usualHeaderSize)
    guard NPY.recognizes(start) else {
      throw CheckpointError(.malformed, "is no .npy file, though its name says so. Get the file again.")
    }
    let size = try NPY.Header.size(start, limits)
    guard size > start.count else { return try NPY.Header(start, limits) }
    let (ratio, overflow) = record.entry.compressedSize.multipliedReportingOverflow(
      by: limits.inflatedPickleRatio)
    guard record.entry.isStored || overflow || size <= max(ratio, limits.inflatedHeaderBase) else {
      throw CheckpointError(
        .limitExceeded,
        "has a .npy header of \(size) bytes in \(record.entry.compressedSize) compressed ones, "
          + "which no real one is. Write it again with numpy.savez.")
    }
    return try NPY.Header(record.prefix(size), limits)
  }

  /// Where nearly every header ends: only structures of many fields and arrays of many dimensions have
  /// larger ones.
  private static let usualHeaderSize = 256
}
