// What loading a state dict found: everything at once, as PyTorch's load_state_dict tells it and more.

public import Checkpoints

/// The outcome of `model.load`.
public struct LoadReport: Sendable, CustomStringConvertible {
  /// A key that the model needs and the state dict lacks.
  public struct Missing: Sendable {
    /// The model's key.
    public let key: String
    /// The most similar key among the unexpected ones.
    public let nearest: String?

    /// The rule that would give the nearest key this name, for itself and for others like it.
    public var rule: String? { nearest.flatMap { KeyMap.rule(from: $0, to: key) } }
  }

  /// A key whose tensor does not fit.
  public struct Mismatch: Sendable {
    /// The model's key.
    public let key: String
    /// The shape that the model needs.
    public let expectedShape: [Int]
    /// The type that the model computes with.
    public let expectedDType: DType
    /// The tensor's shape.
    public let foundShape: [Int]
    /// The tensor's type.
    public let foundDType: DType
  }

  /// A key whose tensor is converted when the model runs.
  public struct Conversion: Sendable {
    /// The model's key.
    public let key: String
    /// The tensor's type.
    public let from: DType
    /// The type that the model computes with.
    public let to: DType
  }

  /// The keys that were loaded, or fit where loading failed, in the model's order.
  public internal(set) var loaded: [String] = []
  /// The keys that the model needs and the state dict lacks.
  public internal(set) var missing: [Missing] = []
  /// The keys of the state dict that the model has no use for.
  public internal(set) var unexpected: [String] = []
  /// The keys whose tensors have another shape or a type that does not convert.
  public internal(set) var mismatched: [Mismatch] = []
  /// The keys whose tensors have another type that converts.
  public internal(set) var converted: [Conversion] = []
  /// The keys that two modules of the model declare, which the model has to give scopes of their own.
  public internal(set) var repeated: [String] = []
  /// Whose names the state dict has, such as `huggingface`; `torchvision` for the model's own.
  public let dialect: String
  /// What was removed from the state dict's keys to make them fit, such as `module.`.
  public let removedPrefix: String
  /// The keys of what lies beside the model in the state dict, such as another network; they are no error.
  public let leftOut: [String]

  init(_ mapping: KeyMapping) {
    (dialect, removedPrefix, leftOut) = (mapping.dialect, mapping.prefix, mapping.leftOut)
  }

  /// Whether every key fitted.
  public var isComplete: Bool {
    missing.isEmpty && unexpected.isEmpty && mismatched.isEmpty && repeated.isEmpty
  }

  /// The first of what does not fit, in a few words; nil where all does.
  public var firstProblem: String? {
    if let first = missing.first { return "there is no \(quoted(first.key))" }
    if let first = mismatched.first {
      return
        "\(quoted(first.key)) is \(first.foundDType) \(first.foundShape) where \(first.expectedShape) is due"
    }
    return unexpected.first.map { "nothing knows \(quoted($0))" }
  }

  /// The findings, a line each.
  public var description: String { text(ofLoaded: "keys loaded") }

  fileprivate func text(ofLoaded what: String) -> String {
    var lines = ["\(loaded.count) \(what)"]
    if dialect != "torchvision" { lines.append("the keys are \(dialect)'s") }
    if !removedPrefix.isEmpty { lines.append("\(quoted(removedPrefix)) removed from the keys") }
    if !leftOut.isEmpty { lines.append("\(leftOut.count) keys left out that are no part of the model") }
    list("missing", missing.map { $0.key + (hint($0) ?? "") }, &lines)
    list("unexpected", unexpected, &lines)
    list(
      "mismatched",
      mismatched.map {
        $0.foundShape == $0.expectedShape
          ? "\($0.key): \($0.foundDType) where \($0.expectedDType) is due"
          : "\($0.key): \($0.foundShape) where \($0.expectedShape) is due"
      }, &lines)
    if !converted.isEmpty {
      let types = Set(converted.map { "\($0.from) to \($0.to)" }).sorted().joined(separator: ", ")
      lines.append("\(converted.count) converted (\(types))")
    }
    return lines.joined(separator: "\n")
  }

  private func hint(_ missing: Missing) -> String? {
    guard let nearest = missing.nearest, let rule = missing.rule else { return nil }
    return " (did you mean \(quoted(nearest))? --map '\(rule)')"
  }

  private func list(_ title: String, _ keys: [String], _ lines: inout [String]) {
    guard !keys.isEmpty else { return }
    lines.append("\(keys.count) \(title):")
    lines += keys.map { "  " + printable($0) }
  }
}

/// A state dict that does not fit the model; the model keeps the weights that it had.
public struct LoadError: Error, Sendable, CustomStringConvertible {
  /// Everything that was found.
  public let report: LoadReport

  public var description: String {
    if let name = report.repeated.first {
      return "\(quoted(name)) is declared by two modules: make each in a scope of its own. "
        + "All of them: \(report.repeated.prefix(20).map { printable($0) }.joined(separator: ", "))."
    }
    return
      "the weights don't fit the model: \(report.missing.count) missing, \(report.unexpected.count) unexpected, "
      + "\(report.mismatched.count) mismatched keys. Use weights that were saved from this very network.\n"
      + report.text(ofLoaded: "keys fit; nothing is loaded")
  }
}
