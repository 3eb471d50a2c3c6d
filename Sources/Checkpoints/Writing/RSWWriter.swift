// Writes an .rsw file: a safetensors file whose metadata and order make it open at once and prove
// itself. docs/rsw-format.md is the specification.

/// What an .rsw file says of itself beside its tensors.
public struct RSWOptions: Sendable {
  /// The file that is converted: its name and size are noted, and all its checksums verified.
  public var source: Checkpoint?
  /// The model's architecture as a JSON object.
  public var architecture: String?
  /// Whether an existing file may be replaced.
  public var replacing = false

  /// Nothing said, nothing replaced.
  public init() {}
}

extension StateDict {
  /// Writes all tensors to an .rsw file, reads it again and holds it against what was meant.
  ///
  /// The checksums that the source's records carry are verified on the way, with those of the
  /// tensors computed only once. The file appears under its name when all of that is done; a
  /// failure leaves nothing behind.
  ///
  /// - Parameter progress: called now and then, from any thread, with the bytes done and to do.
  /// - Throws: `.cannotWrite`, `.notRepresentable` for a dtype that safetensors has not, `.limitExceeded` for
  ///   more than the source justifies, or what is wrong with a tensor.
  public func writeRSW(
    to path: String, options: RSWOptions = RSWOptions(),
    progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws(CheckpointError) {
    let names = names
    let layout = try SafetensorsLayout(self) { checksums in RSWMetadata.of(names, checksums, options) }
    var writing = WriteOptions()
    (writing.source, writing.replacing) = (options.source, options.replacing)
    try write(layout, to: path, options: writing, progress: progress)
  }
}

extension RSWMetadata {
  /// The metadata of a file with these tensors and checksums, which have a fixed width.
  fileprivate static func of(
    _ names: [String], _ checksums: [UInt32], _ options: RSWOptions
  ) -> [(name: String, value: String)] {
    var metadata = [(name: "format", value: format), (name: "rsw_version", value: String(version))]
    if let source = options.source {
      metadata.append(("source", String(source.path.split(separator: "/").last ?? "")))
      metadata.append(("source_bytes", String(source.byteCount)))
    }
    if let architecture = options.architecture { metadata.append(("architecture", architecture)) }
    let sums = JSON.object(zip(names, checksums).map { ($0, .string(hex($1))) })
    metadata.append(("crc32", sums.text()))
    return metadata
  }
}
