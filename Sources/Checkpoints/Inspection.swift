// What a file says of itself beside its tensors: for `rsw info` and for whoever decides whether to
// trust a file.

/// A class or function that a pickle names.
public struct GlobalName: Sendable, Equatable {
  /// `module.name`.
  public let name: String
  /// Whether this library knows what it stands for; what it does not know is kept as data.
  public let isKnown: Bool
  /// Whether loading the pickle for real, elsewhere, could run code through it. Nothing is run here.
  public let isDangerous: Bool
}

extension Checkpoint {
  /// The pickle protocol, for files that hold one.
  public var pickleProtocol: Int? {
    if case .pickles(let pickles, _) = content { return pickles.first?.heap.protocolVersion }
    return nil
  }

  /// Every class and function that the file's pickles name, once each, in order of appearance.
  public var globals: [GlobalName] {
    guard case .pickles(let pickles, _) = content else { return [] }
    var seen: Set<String> = []
    return pickles.flatMap { pickle in
      zip(pickle.heap.globals, pickle.known).map { global, known in
        GlobalName(
          name: global.fullName, isKnown: known != nil || ScriptClasses.contains(global.fullName),
          isDangerous: global.isDangerous)
      }
    }.filter { seen.insert($0.name).inserted }
  }

  /// Short texts that lie beside the weights, by name: those of the outermost dict, as `arch`, and of the dict or
  /// the namespace that it has as `args`, `hparams` or `hyper_parameters`, in file order.
  public var texts: [(name: String, value: String)] {
    guard case .pickles(let pickles, _) = content, let pickle = pickles.first else { return [] }
    var result: [(name: String, value: String)] = []
    func add(_ entries: PickleEntries?, isRoot: Bool) {
      guard let entries, entries.count <= Checkpoint.mostTexts else { return }
      for (key, value) in entries {
        guard let name = pickle.heap.string(key), name.utf8.count <= Checkpoint.longestText else { continue }
        if let text = pickle.heap.string(value), text.utf8.count <= Checkpoint.longestText {
          result.append((name, text))
        } else if isRoot, ["args", "hparams", "hyper_parameters"].contains(name) {
          if case .object(let object)? = pickle.heap.node(value), pickle.entries(value) == nil {
            add(pickle.attributes(object), isRoot: false)
          } else {
            add(pickle.entries(value), isRoot: false)
          }
        }
      }
    }
    add(pickle.entries(pickle.heap.root), isRoot: true)
    return result
  }

  /// Larger dicts are state dicts, and longer texts say no name.
  private static let mostTexts = 1000
  private static let longestText = 200

  /// What wrote the file, as far as it tells.
  public var writer: String? {
    switch content {
    case .pickles(let pickles, let archive):
      if let archive { return Checkpoint.writer(of: archive, isScript: container == .torchScript) }
      switch container {
      case .torchLegacy: return "torch 0.1.12 to 1.5, or a later one asked for the old format"
      case .torchTar: return "torch before 0.1.12"
      default: return pickles.isEmpty ? nil : "Python's pickle"
      }
    case .tensors:
      switch container {
      case .rsw: return "rsw"
      case .npz, .npy: return "NumPy"
      case .torchExport: return "torch.export"
      default: return metadata.first { $0.name == "format" }.map { "safetensors, for \($0.value)" }
      }
    case .shards: return nil
    }
  }

  private static func writer(of archive: ZipArchive, isScript: Bool) -> String {
    let names = archive.records.map { $0.name.split(separator: "/").dropFirst().joined(separator: "/") }
    if isScript { return "TorchScript" + (names.contains("byteorder") ? ", torch 2.1 or newer" : "") }
    if names.contains(".format_version") { return "torch 2.6 or newer" }
    if names.contains("byteorder") { return "torch 2.1 or newer" }
    return names.contains("version") ? "torch 1.6 or newer" : "not torch itself"
  }

  /// Bytes of storages in the file that `stateDict` does not use: 0 where every byte is some tensor's.
  public func unusedBytes(beside stateDict: StateDict) -> Int {
    guard case .pickles(_, let archive?) = content else { return 0 }
    let used = Set(
      stateDict.map(\.tensor).flatMap { [$0.storage.origin] + $0.components.map(\.tensor.storage.origin) })
    let folders = ["data", "tensors", "constants"]
    return archive.records.filter { record in
      let parts = record.name.split(separator: "/")
      return parts.count >= 2 && folders.contains(String(parts[parts.count - 2]))
        && !used.contains(record.name)
    }.reduce(0) { $0.saturatingAdding($1.entry.uncompressedSize) }
  }
}

extension StateDict {
  /// Names of tensors that share a storage, in groups of two or more, in order.
  public var ties: [[String]] {
    var groups: [ObjectIdentifier: [String]] = [:]
    var order: [ObjectIdentifier] = []
    for (name, tensor) in self where tensor.layout == .strided && tensor.elementCount > 0 {
      let identity = ObjectIdentifier(tensor.storage)
      if groups[identity] == nil { order.append(identity) }
      groups[identity, default: []].append(name)
    }
    return order.compactMap { identity in groups[identity].flatMap { $0.count > 1 ? $0 : nil } }
  }
}
