// Which ResNet a state dict is for, in whose names, and how that was found out. Keys and shapes tell most
// (ArchitectureSearch.swift); Hints.swift has what tells the rest.

public import Checkpoints

/// A state dict that is no ResNet's, or hints that don't go with it, with the first reason found.
public struct RecognitionError: Error, Sendable, CustomStringConvertible {
  /// What is missing, has another shape or can't be.
  public let reason: String
  private let isAboutHints: Bool

  /// The reason in a sentence, and what to do.
  public var description: String {
    isAboutHints
      ? reason + (reason.hasSuffix(".") ? "" : ".")
      : "the weights are no ResNet that rsw knows: \(reason). 'rsw ls' lists their names; other networks run once their "
        + "modules are written in Swift (Bring your own module)."
  }

  init(_ reason: String) { (self.reason, isAboutHints) = (reason, false) }

  /// An error of what was said about the weights.
  init(hints reason: String) { (self.reason, isAboutHints) = (reason, true) }
}

/// A ResNet that was found in a state dict.
///
/// ```swift
/// let recognition = try Recognition(checkpoint.stateDict())
/// print(recognition.steps.joined(separator: "; "))
/// ```
public struct Recognition: Sendable {
  /// What the network is built from.
  public let architecture: Architecture
  /// Which tensors are the network's, and what they are called there.
  public let mapping: KeyMapping
  /// The network's tensors under its own names, with PyTorch's axes; and what nothing knows, under the name that it
  /// has, so that it does not get lost.
  public let stateDict: StateDict
  /// How it was found out, step by step, each in a few words.
  public let steps: [String]
  /// What lies beside the network in the state dict, in a few words; nil for nothing.
  public let beside: String?
  /// What else the same keys and shapes could mean, with how to say so; empty where something told which.
  public let alternatives: [String]

  /// Finds the network in `stateDict`.
  ///
  /// - Parameter hints: what is known beside keys and shapes.
  /// - Throws: ``RecognitionError`` with the first reason why there is none, or why there is no choosing.
  public init(_ stateDict: StateDict, hints: Hints = Hints()) throws(RecognitionError) {
    var steps: [String] = []
    let source = try Recognition.renamed(stateDict, by: hints.map, &steps)
    let search = NetworkSearch(source)
    guard var mapping = search.mapping, let dialect = search.dialect else {
      // The first key that would have to be there says most.
      _ = try ArchitectureSearch(source).architecture()
      throw RecognitionError("there is no \"layer2.0.conv1.weight\"")
    }
    guard search.equals.isEmpty else {
      let names = ([mapping.prefix] + search.equals).prefix(5).map { quoted($0) }.joined(separator: " and ")
      throw RecognitionError(
        hints:
          "there are several networks, under \(names): choose one with --map '\(printable(search.equals[0])){*}={*}'"
      )
    }
    steps += Recognition.explain(mapping, dialect, others: search.others)

    var network: StateDict
    do throws(CheckpointError) {
      network = try mapping.apply(to: source)
    } catch {
      throw RecognitionError((error.key.map { quoted($0) + ": " } ?? "") + error.message)
    }
    if dialect.map.settings.contains(where: { $0.name == "statistics" && $0.value == "none" }) {
      steps.append("scales and biases without statistics, which are 0 and 1")
      try network.addStatistics()
    }
    if hints.recorded != nil {
      // Whoever wrote the file knew these names, and that they are no part of the network.
      mapping.leftOut += mapping.unknown
      mapping.unknown = []
    }
    for name in mapping.unknown {
      guard let tensor = source[name] else { continue }
      guard network[name] == nil else {
        throw RecognitionError(
          "\(quoted(name)) lies beside a network that has a tensor of this name under \(quoted(mapping.prefix))"
        )
      }
      network.update(name, tensor)
    }
    var architecture = try ArchitectureSearch(network).architecture()
    let found = try hints.settle(&architecture, dialect)
    steps.append(architecture.description)
    steps += found.steps
    beside = mapping.leftOut.isEmpty ? nil : Recognition.explain(mapping)
    if let beside { steps.append(beside) }

    self.architecture = architecture
    self.mapping = mapping
    self.stateDict = network
    self.steps = steps
    alternatives = found.alternatives
  }

  /// The state dict with the names that the user's rules give.
  private static func renamed(
    _ stateDict: StateDict, by map: KeyMap, _ steps: inout [String]
  ) throws(RecognitionError) -> StateDict {
    guard !map.rules.isEmpty else { return stateDict }
    let renamed: (stateDict: StateDict, count: Int)
    do throws(CheckpointError) {
      renamed = try stateDict.renamed(by: map)
    } catch {
      throw RecognitionError(
        hints: "the rules given don't fit: \(error.key.map { quoted($0) + ": " } ?? "")\(error.message)")
    }
    guard renamed.count > 0 else { throw RecognitionError(hints: "no key matches the rules given") }
    steps.append("\(renamed.count) key\(renamed.count == 1 ? "" : "s") renamed by the rules given")
    return renamed.stateDict
  }

  private static func explain(_ mapping: KeyMapping, _ dialect: Dialect, others: [String]) -> [String] {
    var steps: [String] = []
    if !mapping.prefix.isEmpty {
      let count = mapping.entries.count
      steps.append("removed \(printable(mapping.prefix)) from \(count) key\(count == 1 ? "" : "s")")
    }
    if dialect.name != "torchvision" { steps.append("names of \(dialect.title) (\(dialect.name))") }
    if !others.isEmpty {
      let names = others.prefix(3).map { printable($0.isEmpty ? "names without a prefix" : $0) }
      steps.append("not taken: the network under \(names.joined(separator: " and "))")
    }
    return steps
  }

  /// Says what lies beside the network, by the components in which names differ from its prefix.
  private static func explain(_ mapping: KeyMapping) -> String {
    let prefix = mapping.prefix.split(separator: ".")
    var places: [String] = []
    for name in mapping.leftOut {
      let components = name.split(separator: ".")
      let common = zip(components, prefix).prefix { $0 == $1 }.count
      let place = components.prefix(common + 1).joined(separator: ".")
      if places.last != place, places.count <= 5, !places.contains(place) { places.append(place) }
    }
    let list =
      places.prefix(5).map { printable($0) }.joined(separator: ", ") + (places.count > 5 ? ", …" : "")
    let count = mapping.leftOut.count
    return "\(count) key\(count == 1 ? "" : "s") beside the network: \(list)"
  }
}

extension StateDict {
  /// Gives every normalisation that has a scale but no statistics a mean of 0 and a variance of 1, less what
  /// is added to it.
  fileprivate mutating func addStatistics() throws(RecognitionError) {
    for (name, tensor) in self where tensor.shape.count == 1 && tensor.shape[0] <= 1 << 16 {
      guard let path = name.droppingSuffix(".weight"), self[path + ".running_mean"] == nil else { continue }
      let count = tensor.shape[0]
      guard let mean = try? Tensor(shape: [count], [Float](repeating: 0, count: count)),
        let variance = try? Tensor(shape: [count], [Float](repeating: Dialect.impliedVariance, count: count))
      else { throw RecognitionError("\"\(name)\" is too large") }
      update(path + ".running_mean", mean)
      update(path + ".running_var", variance)
    }
  }
}

extension ResidualNetwork {
  /// The names of any dialect, with any prefix, are understood.
  public func mapping(of source: StateDict, parameters: [String]) -> KeyMapping {
    NetworkSearch(source).mapping ?? KeyMapping(of: source, expecting: parameters)
  }
}

extension Checkpoint {
  /// The state dict for a ResNet: the one under `key`, the one that is plainly meant or, where
  /// several could be meant, the only one that is a ResNet's, or the teacher of a student.
  ///
  /// - Throws: as `Checkpoints/Checkpoint/stateDict(key:)`.
  public func resNetStateDict(key: String? = nil) throws(CheckpointError) -> StateDict {
    do throws(CheckpointError) {
      return try stateDict(key: key)
    } catch  where error.code == .ambiguous && key == nil {
      var fitting: [StateDict] = []
      for candidate in stateDictKeys {
        guard let stateDict = try? stateDict(key: candidate) else { continue }
        if (try? Recognition(stateDict)) != nil { fitting.append(stateDict) }
      }
      let names = fitting.map(\.location)
      guard let preferred = NetworkSearch.preferred(among: names),
        names.count(where: { NetworkSearch.rank($0) == NetworkSearch.rank(preferred) }) == 1
      else { throw error }
      return fitting.first { $0.location == preferred } ?? fitting[0]
    }
  }

  /// The ResNet that the checkpoint holds.
  ///
  /// - Parameters:
  ///   - key: the state dict's key, where the checkpoint holds several.
  ///   - hints: what is known beside the file; its name and metadata count too.
  /// - Throws: `CheckpointError` or ``RecognitionError``.
  public func recognition(key: String? = nil, hints: Hints = Hints()) throws -> Recognition {
    try Recognition(resNetStateDict(key: key), hints: hints.and(self))
  }
}

extension Model where Root == ResidualNetwork {
  /// The ResNet that a checkpoint holds, with its weights.
  ///
  /// - Parameters:
  ///   - key: the state dict's key, where the checkpoint holds several.
  ///   - hints: what is known beside the file; its name and metadata count too.
  /// - Throws: `CheckpointError`, ``RecognitionError`` or `LoadError`.
  public init(_ checkpoint: Checkpoint, key: String? = nil, hints: Hints = Hints()) throws {
    try self.init(checkpoint.recognition(key: key, hints: hints))
  }

  /// The ResNet that was found, with its weights.
  ///
  /// - Throws: `LoadError` when they don't fit.
  public init(_ recognition: Recognition) throws(LoadError) {
    self.init(recognition.architecture)
    // It has been found out already which names these are.
    var mapping = recognition.mapping
    let unknown = Set(mapping.unknown.map(CodeUnitKey.init))
    mapping.entries = recognition.stateDict.names.filter { !unknown.contains(CodeUnitKey($0)) }
      .map { .init(from: $0, to: $0) }
    try load(recognition.stateDict, mapping)
  }
}
