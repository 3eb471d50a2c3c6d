// What an .rsw file says beyond safetensors, all of it in `__metadata__` (docs/rsw-format.md):
//
//   format         "rsw"
//   rsw_version    "1"
//   source         the converted file's name             (when it was converted)
//   source_bytes   that file's size in bytes             (when it was converted)
//   architecture   the model as a JSON object            (when it was recognised)
//   crc32          a JSON object: tensor name → CRC-32 of its bytes, eight hexadecimal digits

/// The rsw entries of a safetensors file's metadata.
struct RSWMetadata {
  static let format = "rsw"
  static let version = 1
  /// Tensors whose size is a multiple of this begin on such a boundary of the file.
  static let alignment = 64

  private let version: String
  private let checksums: String?

  /// Nil when the file does not say that it is rsw.
  init?(_ metadata: [(name: String, value: String)]) {
    func value(_ name: String) -> String? { metadata.first { $0.name == name }?.value }
    guard value("format") == RSWMetadata.format else { return nil }
    version = value("rsw_version") ?? ""
    checksums = value("crc32")
  }

  func checkVersion() throws(CheckpointError) {
    guard let number = Int(version), number >= 1 else {
      throw CheckpointError(.malformed, "is an rsw file without a version. Convert the weights again.")
    }
    guard number <= RSWMetadata.version else {
      throw CheckpointError(
        .unsupported, "is an rsw file of version \(number); up to \(RSWMetadata.version) is read. Update rsw."
      )
    }
  }

  /// The checksums that are recorded for the tensors, by their names.
  func recordedChecksums() throws(CheckpointError) -> [CodeUnitKey: String] {
    guard let checksums, let recorded = try JSON(parsing: Bytes(Array(checksums.utf8))).object else {
      throw CheckpointError(.malformed, "is an rsw file without checksums. Convert the weights again.")
    }
    var byName: [CodeUnitKey: String] = [:]
    for (name, value) in recorded { byName[CodeUnitKey(name)] = value.string }
    return byName
  }

  func verifyChecksums(of stateDict: StateDict) throws(CheckpointError) {
    let recorded = try recordedChecksums()
    try inParallel(stateDict.count) { index throws(CheckpointError) in
      let (name, tensor) = stateDict[index]
      try RSWMetadata.check(tensor.storage.checksum(), recorded[CodeUnitKey(name)], name)
    }
  }

  /// Holds the CRC-32 of a tensor's bytes against the recorded one.
  static func check(_ actual: UInt32, _ recorded: String?, _ name: String) throws(CheckpointError) {
    guard hex(actual) == recorded else {
      throw CheckpointError(
        .checksumMismatch,
        "its CRC-32 is \(hex(actual)), but \(recorded ?? "none") was recorded: the file is damaged. Convert it again.",
        key: name)
    }
  }
}
