// What rsw convert tells of what it read and wrote.

import Checkpoints

enum ConversionText {
  /// What was found in the input, a line each.
  static func source(
    _ path: String, _ checkpoint: Checkpoint, _ stateDict: StateDict, _ model: Identification
  ) -> String {
    var lines = [
      "read   \(printable(path)): \(checkpoint.container.rawValue), \(stateDict.count) tensors, "
        + "\(grouped(stateDict.elementCount)) elements, \(byteSize(stateDict.byteCount))"
    ]
    if !stateDict.location.isEmpty { lines.append("       state dict under \(quoted(stateDict.location))") }
    if !stateDict.otherEntries.isEmpty {
      lines.append("       left out, as they are no tensors: \(firstNames(stateDict.otherEntries))")
    }
    if !stateDict.nestedEntries.isEmpty {
      lines.append(
        "       left out, though they hold tensors (--all takes them): \(firstNames(stateDict.nestedEntries))"
      )
    }
    lines.append("model  \(model.description)")
    if let alternatives = model.alternatives { lines.append("       \(alternatives)") }
    return lines.joined(separator: "\n")
  }

  /// The first few names, of which there may be many.
  static func firstNames(_ names: [String]) -> String {
    names.prefix(5).map { quoted($0) }.joined(separator: ", ") + (names.count > 5 ? ", …" : "")
  }

  /// What a conversion to fewer bits lost.
  static func losses(_ losses: [PrecisionLoss], _ precision: Precision) -> String {
    let elements = losses.reduce(0) { $0 + $1.elements }
    var text = "dtype  \(losses.count) tensors to \(precision.dtype), \(grouped(elements)) elements"
    func add(_ what: String, _ count: (PrecisionLoss) -> Int) {
      let touched = losses.filter { count($0) > 0 }
      let names = touched.prefix(3).map { printable($0.name) }.joined(separator: ", ")
      if touched.isEmpty { return }
      text +=
        "\n       \(grouped(touched.reduce(0) { $0 + count($1) })) \(what): \(names)\(touched.count > 3 ? ", …" : "")"
    }
    add("too large for it became infinite", \.overflows)
    add("too small for it became zero", \.underflows)
    if losses.allSatisfy({ $0.overflows == 0 && $0.underflows == 0 }) {
      text += "; none overflowed, none became zero"
    }
    return text
  }

  /// What was written: the file to open, and how many it needs.
  static func files(_ files: [String]) -> String {
    let others =
      files.count > 1
      ? " and the \(files.count == 2 ? "file" : "\(files.count - 1) files") that it names" : ""
    return printable(files.last ?? "") + others
  }
}
