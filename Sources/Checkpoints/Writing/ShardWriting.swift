// Weights in several files of a bounded size, with an index beside them that says which tensor lies where
// (ShardIndex.swift has its form): `model-00001-of-00002.safetensors` and so on, and `model.safetensors.index.json`, as
// Hugging Face's transformers writes and reads them.

extension StateDict {
  /// The files that hold all tensors, none larger than `most` bytes of tensors unless one alone is; a lone file if
  /// that is enough. Tensors that share memory in their file stay together.
  func shards(
    of most: Int, at path: String, as format: OutputFormat, _ options: WriteOptions
  ) throws(CheckpointError) -> [PlannedFile] {
    guard format.canBeSharded else {
      throw CheckpointError(
        .notRepresentable, "is \(format.rawValue), which is one file: only safetensors and torch are sharded."
      )
    }
    let parts = try divided(most, keepingTies: format == .torch)
    guard parts.count > 1 else {
      return [PlannedFile(path: path, layout: try layout(as: format, path: path, options), content: self)]
    }
    let stem = path.lastIndex(of: ".").map { String(path[..<$0]) } ?? path
    let suffix = path.dropFirst(stem.count)
    var files: [PlannedFile] = []
    var weightMap: [CodeUnitKey: String] = [:]
    for (index, part) in parts.enumerated() {
      let name = "\(stem)-\(fiveDigits(index + 1))-of-\(fiveDigits(parts.count))\(suffix)"
      files.append(
        PlannedFile(path: name, layout: try part.layout(as: format, path: name, options), content: part))
      for (tensor, _) in part {
        weightMap[CodeUnitKey(tensor)] = String(name.split(separator: "/").last ?? "")
      }
    }
    let index = JSON.object([
      ("metadata", .object([("total_size", .int(byteCount))])),
      ("weight_map", .object(names.map { ($0, .string(weightMap[CodeUnitKey($0)] ?? "")) })),
    ])
    let text = Bytes(Array((index.text(indented: true) + "\n").utf8))
    // The last to get its name, so that it never names files that are not there.
    return files + [PlannedFile(path: path + ".index.json", layout: TextLayout(text: text))]
  }

  /// The tensors in their order, cut before what would make a part too large.
  private func divided(_ most: Int, keepingTies keepsTies: Bool) throws(CheckpointError) -> [StateDict] {
    var parts: [StateDict] = []
    var size = 0
    var homes: [ObjectIdentifier: Int] = [:]
    for (name, tensor) in self {
      let storage = ObjectIdentifier(tensor.storage)
      if keepsTies, let home = homes[storage] {
        try parts[home].append(name, tensor)
        continue
      }
      if parts.isEmpty || size > 0 && size.saturatingAdding(tensor.byteCount) > most {
        parts.append(StateDict())
        size = 0
      }
      size = size.saturatingAdding(tensor.byteCount)
      homes[storage] = parts.count - 1
      try parts[parts.count - 1].append(name, tensor)
    }
    return parts
  }
}

private func fiveDigits(_ number: Int) -> String {
  let digits = String(number)
  return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
}

/// A file of text, without tensors.
private struct TextLayout: FileLayout {
  let text: Bytes
  var pieces: [FilePiece] { [] }

  func framing(_ checksums: [UInt32]) -> [FileFraming] { [(0, text)] }
}
