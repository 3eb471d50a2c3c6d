// Zip archives that hold checkpoints as members, as reinforcement-learning libraries and model
// servers write them: each member is a file of its own.

enum ZipMembers {
  /// How much of a member is looked at to recognise it.
  private static let sniffed = 1024

  /// The bytes of the member named `name`.
  ///
  /// - Throws: `.missingRecord` when there is none of this name.
  static func member(_ name: String, of file: Bytes, limits: Limits) throws(CheckpointError) -> Bytes {
    guard file.hasPrefix("PK") || ZipArchive.recognizes(file) else {
      throw CheckpointError(.notACheckpoint, "is no zip archive, so it has no members.")
    }
    let archive = try ZipArchive(file, limits: limits)
    guard let record = archive[name] else {
      let names = archive.records.map(\.name)
      let nearest = nearestNames(to: name, among: names, most: 3)
      let shown = (nearest.isEmpty ? Array(names.prefix(5)) : nearest).map { quoted($0) }
      throw CheckpointError(
        .missingRecord,
        nearest.isEmpty
          ? "is not in the archive, which holds \(shown.joined(separator: ", "))\(names.count > 5 ? " and \(names.count - 5) more" : "")."
          : "is not in the archive. Did you mean \(shown.joined(separator: " or "))?",
        record: name)
    }
    return try record.bytes()
  }

  /// The error for an archive that is no checkpoint, which names the members that are.
  static func notACheckpoint(_ archive: ZipArchive, limits: Limits) -> CheckpointError {
    let members = archive.records.filter { isCheckpoint($0, limits) }
    if let error = packageError(archive) { return error }
    guard let first = members.first else {
      return CheckpointError(
        .notACheckpoint,
        "is a zip archive without a data.pkl or any other checkpoint, so torch.save did not write it.")
    }
    let names = members.prefix(20).map { quoted($0.name) }.joined(separator: ", ")
    return CheckpointError(
      .ambiguous,
      "is a zip archive that holds checkpoints as members: \(names). Choose one with --member, such as --member \(printable(first.name))."
    )
  }

  /// The error for an archive of torch.package, which holds code and, as pickles without the layout of
  /// torch.save, objects that only this code can make.
  private static func packageError(_ archive: ZipArchive) -> CheckpointError? {
    guard archive.records.contains(where: { $0.name.hasSuffix(".data/extern_modules") }) else { return nil }
    return CheckpointError(
      .unsupported,
      "is an archive of torch.package, which holds code and the objects that need it. Load the model with "
        + "torch.package.PackageImporter and save its state_dict() with torch.save.")
  }

  /// Whether `record` is a checkpoint, as far as its first bytes tell.
  static func isCheckpoint(_ record: ZipRecord, _ limits: Limits) -> Bool {
    guard record.entry.uncompressedSize > 0, let start = try? record.prefix(sniffed),
      let format = try? FileFormat(of: start, limits: limits)
    else { return false }
    switch format {
    case .zip, .tar, .legacy, .pickle, .safetensors, .npy: return true
    case .index: return false
    }
  }
}
