// The index of weights that lie in several files, as Hugging Face's libraries write it:
//
//   {"metadata": {…}, "weight_map": {"layer.weight": "model-00001-of-00002.safetensors", …}}
//
// The files lie beside the index and are checkpoints of their own, of torch or safetensors.

struct ShardIndex {
  /// The file of each tensor, in the order of the index.
  let weightMap: [(tensor: String, file: String)]
  /// The files in order of appearance.
  let files: [String]

  /// Whether `file` begins as JSON and names a weight map, so that what is wrong with it comes to light.
  static func recognizes(_ file: Bytes, limits: Limits) -> Bool {
    let start = (file.slice(0, min(file.count, 64))?.array ?? []).first { $0 > 0x20 }
    return start == UInt8(ascii: "{") && file.count <= limits.headerBytes
      && file.contains("\"weight_map\"")
  }

  init(_ file: Bytes, limits: Limits) throws(CheckpointError) {
    let json = try JSON(parsing: file, limits: limits, longestArray: limits.shards)
    guard json["weight_map"] != nil else {
      throw CheckpointError(
        .notACheckpoint, "is JSON without a weight_map at its top, so it is no index of checkpoints.")
    }
    guard let members = json["weight_map"]?.object else {
      throw CheckpointError(.malformed, "has a weight_map that is no object. Get the file again.")
    }
    var weightMap: [(tensor: String, file: String)] = []
    var files: [String] = []
    var seen: Set<CodeUnitKey> = []
    for (tensor, value) in members {
      guard let name = value.string else {
        throw CheckpointError(
          .malformed, "has no file name for this tensor. Get the file again.", key: tensor)
      }
      try ShardIndex.check(name, tensor)
      weightMap.append((tensor, name))
      if seen.insert(CodeUnitKey(name)).inserted { files.append(name) }
    }
    guard files.count <= limits.shards else {
      throw CheckpointError(.limitExceeded, "names \(files.count) files; at most \(limits.shards) are read.")
    }
    self.weightMap = weightMap
    self.files = files
  }

  /// A shard lies in the index's folder or below it, nowhere else.
  private static func check(_ name: String, _ tensor: String) throws(CheckpointError) {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    guard !parts.contains(where: { $0.isEmpty || $0 == ".." || $0 == "." }), !name.utf8.contains(0) else {
      throw CheckpointError(
        .malformed, "lies in the file \(quoted(name)), which is not beside the index. Get the file again.",
        key: tensor)
    }
  }

  /// The tensors of all shards: those of the index in its order, then what else the shards hold.
  func stateDict(of shards: [CodeUnitKey: StateDict]) throws(CheckpointError) -> StateDict {
    var result = StateDict()
    for (tensor, file) in weightMap {
      guard let found = shards[CodeUnitKey(file)]?[tensor] else {
        throw CheckpointError(
          .missingRecord, "should be in \(quoted(file)), but is not. Get the files again.", key: tensor)
      }
      try result.append(tensor, found)
    }
    let mapped = Set(weightMap.lazy.map { CodeUnitKey($0.tensor) })
    for file in files {
      guard let shard = shards[CodeUnitKey(file)] else { continue }
      for (name, tensor) in shard where !mapped.contains(CodeUnitKey(name)) {
        try result.append(name, tensor)
      }
      result.otherEntries += shard.otherEntries
      result.nestedEntries += shard.nestedEntries
    }
    return result
  }
}
