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
    let pickle = try TorchPickleWriter(stateDict)
    try append(folder + "/data.pkl", pickle.bytes)
    try append(folder + "/.format_version", Array("1".utf8))
    try append(folder + "/.storage_alignment", Array("64".utf8))
    try append(folder + "/byteorder", Array("little".utf8))
    for (key, storage) in pickle.storages.enumerated() {
      let record = try archive.append(
        "\(folder)/data/\(key)", byteCount: storage.storage.byteCount, for: storage.name)
      storagePlaces.append(archive.records.count - 1)
      pieces.append(
        FilePiece(
          name: storage.name, offset: record.offset, byteCount: storage.storage.byteCount,
          content: .storage(storage.storage)))
    }
    try append(folder + "/version", Array("3\n".utf8))
    // As long for any content; what it says is settled with the checksums.
    try append(folder + "/.data/serialization_id", TorchLayout.identity([]))
  }

  private mutating func append(_ name: String, _ content: [UInt8]) throws(CheckpointError) {
    _ = try archive.append(name, byteCount: content.count)
    texts[archive.records.count - 1] = Bytes(content)
  }

  func framing(ofPiece piece: Int, checksum: UInt32) -> [FileFraming] {
    archive.framing(ofRecord: storagePlaces[piece], checksum: checksum)
  }

  func framing(_ checksums: [UInt32]) -> [FileFraming] {
    var texts = texts
    texts[archive.records.count - 1] = Bytes(TorchLayout.identity(checksums))
    var sums = [UInt32](repeating: 0, count: archive.records.count)
    for (place, sum) in zip(storagePlaces, checksums) { sums[place] = sum }
    for (place, text) in texts { sums[place] = crc32(text) }
    return texts.sorted { $0.key < $1.key }.flatMap { place, text in
      archive.framing(ofRecord: place, checksum: sums[place]) + [(archive.records[place].offset, text)]
    } + [archive.ending(sums)]
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
