// Which tensor of a state dict is which parameter of a network: what a key map, or a prefix that is taken away,
// gives for the names of one file.

/// A network's names for the names of a state dict.
public struct KeyMapping: Sendable {
  /// A tensor that belongs to the network.
  public struct Entry: Sendable {
    /// Its name in the state dict.
    public let from: String
    /// The network's name for it.
    public let to: String
    /// How its axes lie in the state dict, where that is not PyTorch's way.
    public let axes: KeyMap.Axes?

    /// A tensor that is called `from` there and `to` here.
    public init(from: String, to: String, axes: KeyMap.Axes? = nil) {
      (self.from, self.to, self.axes) = (from, to, axes)
    }
  }

  /// Whose names they are, such as `huggingface`; `torchvision` for the network's own.
  public var dialect = "torchvision"
  /// What stands before the network's names, such as `module.`; empty when nothing does.
  public var prefix = ""
  /// The network's tensors, in the order of the state dict.
  public var entries: [Entry] = []
  /// Names that look like the network's, but that nothing knows.
  public var unknown: [String] = []
  /// Names of what lies beside the network in the file, such as another network or a projection head.
  public var leftOut: [String] = []

  /// A mapping of no names.
  public init() {}

  /// Takes the prefix away without which most of `expected` are names of `source`.
  public init(of source: StateDict, expecting expected: [String]) {
    prefix = KeyMapping.prefix(in: source, expecting: expected)
    for name in source.names {
      if let rest = name.droppingPrefix(prefix) {
        entries.append(Entry(from: name, to: rest))
      } else {
        unknown.append(name)
      }
    }
  }

  /// What stands before most of `expected` in `source`: any text that ends with a dot, or nothing.
  private static func prefix(in source: StateDict, expecting expected: [String]) -> String {
    func fitting(_ prefix: String) -> Int { expected.count { source[prefix + $0] != nil } }
    var best = (prefix: "", count: fitting(""))
    guard best.count < expected.count, let first = expected.first else { return "" }
    // Whatever stands before one of the first names may stand before all.
    let anchors = expected.count > 1 ? [first, expected[expected.count - 1]] : [first]
    var tried: Set<CodeUnitKey> = []
    for anchor in anchors {
      for name in source.names where tried.count < mostPrefixes {
        guard let prefix = name.droppingSuffix(anchor), prefix.utf8.last == UInt8(ascii: "."),
          tried.insert(CodeUnitKey(prefix)).inserted
        else { continue }
        let count = fitting(prefix)
        if count > best.count { best = (prefix, count) }
      }
    }
    return best.prefix
  }

  /// Nobody puts more networks of one kind into a file.
  private static let mostPrefixes = 32

  /// The network's tensors under its own names and with PyTorch's axes.
  ///
  /// - Throws: `.malformed` when two tensors would get the same name, or what is wrong with a tensor's axes.
  public func apply(to source: StateDict) throws(CheckpointError) -> StateDict {
    var result = StateDict()
    result.location = source.location
    result.otherEntries = source.otherEntries
    result.nestedEntries = source.nestedEntries
    result.reserveCapacity(entries.count)
    for entry in entries {
      guard let tensor = source[entry.from] else { continue }
      do throws(CheckpointError) {
        try result.append(
          entry.to,
          entry.axes.map { axes throws(CheckpointError) in try tensor.toPyTorch(from: axes) } ?? tensor)
      } catch {
        throw error.forTensor(entry.from)
      }
    }
    return result
  }
}

extension StateDict {
  /// The same tensors under the names that rules give; those that no rule matches keep theirs.
  ///
  /// - Returns: the state dict, and how many tensors were renamed.
  /// - Throws: `.malformed` when two tensors would get the same name, or what is wrong with a tensor's axes.
  public func renamed(by map: KeyMap) throws(CheckpointError) -> (stateDict: StateDict, count: Int) {
    guard !map.rules.isEmpty else { return (self, 0) }
    var mapping = KeyMapping()
    var count = 0
    for name in names {
      let renamed = map.ours(name)
      if renamed != nil { count += 1 }
      mapping.entries.append(.init(from: name, to: renamed?.name ?? name, axes: renamed?.axes))
    }
    return (try mapping.apply(to: self), count)
  }
}

extension String {
  /// What stands before `suffix`, compared by code units, or nil when the string does not end so.
  package func droppingSuffix(_ suffix: String) -> String? {
    let (whole, end) = (utf8, suffix.utf8)
    guard whole.count >= end.count, whole.suffix(end.count).elementsEqual(end) else { return nil }
    return String(whole.dropLast(end.count))
  }
}
