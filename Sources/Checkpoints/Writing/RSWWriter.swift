// What an .rsw file says of itself when it is written; docs/rsw-format.md is the specification.

extension RSWMetadata {
  /// The metadata of a file with these tensors and checksums, which have a fixed width.
  static func of(
    _ names: [String], checksums: [UInt32], _ options: WriteOptions
  ) -> [(name: String, value: String)] {
    var metadata = [(name: "format", value: format), (name: "rsw_version", value: String(version))]
    if let source = options.source {
      metadata.append(("source", String(source.path.split(separator: "/").last ?? "")))
      metadata.append(("source_bytes", String(source.byteCount)))
    }
    if let labels = options.source?.metadata.first(where: { $0.name == "labels" }) { metadata.append(labels) }
    if let architecture = options.architecture { metadata.append(("architecture", architecture)) }
    let sums = JSON.object(zip(names, checksums).map { ($0, .string(hex($1))) })
    metadata.append(("crc32", sums.text()))
    return metadata
  }
}
