// What the tensors of a checkpoint are called when it is converted.

import Checkpoints
import ResNets

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The new names of a state dict's tensors.
struct Naming {
  private struct Row {
    let old: String
    let new: String
    let tensor: Tensor
    let note: String
    /// The name that PyTorch has for it, where that is known.
    var pyTorch: String?

    /// Whether it is a running mean or variance of BatchNorm.
    var isStatistic: Bool {
      [".running_mean", ".running_var"].contains { (pyTorch ?? new).hasSuffix($0) }
    }
  }

  private var rows: [Row]
  private let source: StateDict

  /// - Parameters:
  ///   - recognition: the ResNet in `source`; nil to rename by `map` alone.
  ///   - to: the dialect whose names its tensors get; nil for torchvision's.
  ///   - map: the user's rules.
  ///   - folded: the ResNet's tensors with BatchNorm folded into them, to be written without what lies beside it.
  init(
    _ source: StateDict, _ recognition: Recognition?, to: Dialect?, _ map: KeyMap, folded: StateDict? = nil
  ) throws {
    self.source = source
    guard let recognition else {
      let renamed = try source.renamed(by: map)
      guard map.rules.isEmpty || renamed.count > 0 else {
        throw CheckpointError(.noTensor, "no key matches the rules given. List them with 'rsw ls'.")
      }
      rows = zip(source, renamed.stateDict).map { old, new in
        Row(old: old.name, new: new.name, tensor: new.tensor, note: old.name == new.name ? "" : "renamed")
      }
      return
    }
    // The user's rules came before everything else, so the mapping knows names that they gave.
    let named = try source.renamed(by: map).stateDict
    var originals: [CodeUnitKey: String] = [:]
    for (old, new) in zip(source.names, named.names) { originals[CodeUnitKey(new)] = old }
    var entries: [CodeUnitKey: KeyMapping.Entry] = [:]
    for entry in recognition.mapping.entries { entries[CodeUnitKey(entry.from)] = entry }
    let target = to ?? .torchvision
    if let folded {
      rows = Naming.rows(folded, of: recognition, originals)
      return
    }

    var rows: [Row] = []
    for (name, tensor) in named {
      let old = originals[CodeUnitKey(name)] ?? name
      guard let ours = entries[CodeUnitKey(name)]?.to, let network = recognition.stateDict[ours] else {
        rows.append(Row(old: old, new: name, tensor: tensor, note: "beside the network"))
        continue
      }
      if let row = try Naming.row(old, ours, network, target) { rows.append(row) }
    }
    // What the network needs and the dialect leaves to be understood.
    let written = Set(
      (recognition.mapping.entries.map(\.to) + recognition.mapping.unknown).map(CodeUnitKey.init))
    for (ours, tensor) in recognition.stateDict where !written.contains(CodeUnitKey(ours)) {
      if let row = try Naming.row("", ours, tensor, target) { rows.append(row) }
    }
    self.rows = rows
  }

  private static func rows(
    _ folded: StateDict, of recognition: Recognition, _ originals: [CodeUnitKey: String]
  ) -> [Row] {
    var sources: [CodeUnitKey: String] = [:]
    for entry in recognition.mapping.entries {
      sources[CodeUnitKey(entry.to)] = originals[CodeUnitKey(entry.from)] ?? entry.from
    }
    return folded.map { name, tensor in
      let old = sources[CodeUnitKey(name)] ?? ""
      let isChanged = recognition.stateDict[name]?.storage !== tensor.storage
      return Row(
        old: old, new: name, tensor: tensor, note: isChanged ? "folded" : old == name ? "" : "renamed")
    }
  }

  /// Nil for what the target leaves to be understood.
  private static func row(_ old: String, _ ours: String, _ tensor: Tensor, _ target: Dialect) throws -> Row? {
    guard let theirs = target.theirs(ours) else {
      if try target.implies(ours, tensor) { return nil }
      throw CheckpointError(
        .notRepresentable,
        "has no name in networks of \(target.title) (\(target.name)): choose another --to.",
        key: ours)
    }
    var note = old.isEmpty ? "implied" : old == theirs.name ? "" : "renamed"
    var result = tensor
    if let axes = theirs.axes {
      result = try tensor.fromPyTorch(to: axes)
      note += ", axes \(axes.rawValue)"
    }
    return Row(old: old, new: theirs.name, tensor: result, note: note, pyTorch: ours)
  }

  /// The new names of BatchNorm's running means and variances.
  var statistics: Set<String> { Set(rows.filter(\.isStatistic).map(\.new)) }

  /// How many tensors there are.
  var count: Int { rows.count }

  /// Keeps the tensors whose new names match one of `only`, if there are any, and none of `without`.
  ///
  /// - Throws: `.noStateDict` when none is left.
  mutating func keep(only: [String], without: [String]) throws(CheckpointError) {
    guard !only.isEmpty || !without.isEmpty else { return }
    func matches(_ name: String, _ globs: [String]) -> Bool { globs.contains { fnmatch($0, name, 0) == 0 } }
    rows = rows.filter { (only.isEmpty || matches($0.new, only)) && !matches($0.new, without) }
    guard !rows.isEmpty else {
      throw CheckpointError(
        .noStateDict, "has no tensor that --only and --without leave. List them with 'rsw ls'.")
    }
  }

  /// The tensors under their new names.
  func stateDict(dense: Bool) throws(CheckpointError) -> StateDict {
    var result = StateDict()
    result.location = source.location
    result.otherEntries = source.otherEntries
    result.nestedEntries = source.nestedEntries
    for row in rows { try result.append(row.new, row.tensor) }
    return dense ? try result.dense() : result
  }

  /// Old and new names side by side.
  var table: String {
    let heading = [["in the checkpoint", "written as", "shape", ""]]
    let lines = rows.map { row in
      [
        row.old.isEmpty ? "-" : printable(row.old), printable(row.new), "\(row.tensor.shape)", row.note,
      ]
    }
    let renamed = rows.count { $0.old != $0.new }
    return rsw.table(heading + lines, numeric: [])
      + "\n\(rows.count) tensors, \(renamed) under another name"
  }
}
