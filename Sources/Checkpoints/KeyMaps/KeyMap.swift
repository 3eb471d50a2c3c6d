// Rules that rename parameters between two naming conventions, as text that people write:
//
//   # a comment
//   title: Hugging Face transformers
//   set stride = first
//   stages.{s}.layers.{b}.{*} = layer{s+1}.{b}.{*}
//   conv1/kernel[:0] = conv1.weight : hwio
//
// A rule is `THEIRS = OURS`, patterns of KeyPattern.swift; behind a colon stands the order of the axes where
// it is not PyTorch's. The first rule that matches a name renames it. Read from right to left the
// same rules write the other convention.

/// Rules between two naming conventions.
public struct KeyMap: Sendable {
  /// How the axes of an array lie where they are not PyTorch's `[out, in, height, width]` or `[out, in]`.
  public enum Axes: String, Sendable, CaseIterable {
    /// `[height, width, in, out]`: Keras and TensorFlow.
    case hwio
    /// `[out, height, width, in]`: channels last, as MLX has it.
    case ohwi
    /// `[in, out]`: Keras's fully connected layers.
    case io
    /// `[out, in, 1, 1]`: a fully connected layer that is kept as a convolution.
    case oi11

    /// For each of PyTorch's axes, which of these it is.
    var permutation: [Int] {
      switch self {
      case .hwio: [3, 2, 0, 1]
      case .ohwi: [0, 3, 1, 2]
      case .io: [1, 0]
      case .oi11: [0, 1]
      }
    }
  }

  /// A rule.
  public struct Rule: Sendable, CustomStringConvertible {
    let theirs: KeyPattern
    let ours: KeyPattern
    let axes: Axes?
    /// The rule as it was written.
    public let description: String
    /// No rule of people is longer.
    private static let longest = 1000
    /// The text that our names begin with, whatever stands in the places.
    package var start: [UInt8] { ours.start }

    /// - Throws: a sentence that says what is wrong.
    public init(_ text: String) throws(KeyMapError) {
      guard text.utf8.count <= Rule.longest else {
        throw KeyMapError(
          "\(quoted(text)) is too long for a rule: \(text.utf8.count) bytes of \(Rule.longest).")
      }
      var (sides, axes) = (text.trimmed, Axes?.none)
      if let colon = sides.range(ofLast: " : ") {
        let name = String(sides[colon.upperBound...]).trimmed
        guard let known = Axes(rawValue: name) else {
          throw KeyMapError(
            "\(quoted(name)) is no order of axes; there are \(Axes.allCases.map(\.rawValue).joined(separator: ", "))."
          )
        }
        axes = known
        sides = String(sides[..<colon.lowerBound])
      }
      guard let equals = sides.range(ofLast: " = ") ?? sides.range(ofLast: "=") else {
        throw KeyMapError("\(quoted(text)) is no rule: write OLD = NEW.")
      }
      theirs = try KeyPattern(String(sides[..<equals.lowerBound]).trimmed)
      ours = try KeyPattern(String(sides[equals.upperBound...]).trimmed)
      guard theirs.placeholders == ours.placeholders else {
        throw KeyMapError("\(quoted(text)) has placeholders on one side that the other side lacks.")
      }
      self.axes = axes
      description = text.trimmed
    }
  }

  /// The rules, in the order in which they are tried.
  public private(set) var rules: [Rule] = []
  /// `title` and other lines of the form `name: text`.
  public private(set) var notes: [String: String] = [:]
  /// Lines of the form `set name = value`.
  public private(set) var settings: [(name: String, value: String)] = []

  /// Rules that are tried in this order.
  public init(_ rules: [Rule] = []) { self.rules = rules }

  /// Reads rules, one a line.
  ///
  /// - Throws: what is wrong with the first line that is none.
  public init(parsing text: String) throws(KeyMapError) {
    guard text.utf8.count <= KeyMap.longest else {
      throw KeyMapError("the rules take \(text.utf8.count) bytes; at most \(KeyMap.longest) are read.")
    }
    let text = text.droppingPrefix("\u{FEFF}") ?? text
    // In code units, as characters take ten times as long, and every run of the tool reads all dialects.
    let lines = text.utf8.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      do throws(KeyMapError) {
        let line = Substring(line)
        let end = line.utf8.first == UInt8(ascii: "#") ? line.startIndex : line.range(of: " #")?.lowerBound
        try read(line[..<(end ?? line.endIndex)].trimmed)
      } catch {
        throw KeyMapError("line \(index + 1): \(error.description)")
      }
    }
  }

  /// No map of people is longer.
  package static let longest = 1 << 20

  private mutating func read(_ line: String) throws(KeyMapError) {
    if line.isEmpty { return }
    if let setting = line.droppingPrefix("set ") {
      let sides = setting.split(separator: "=", maxSplits: 1).map { String($0).trimmed }
      guard sides.count == 2 else {
        throw KeyMapError("\(quoted(line)) sets nothing: write set NAME = VALUE.")
      }
      settings.append((sides[0], sides[1]))
    } else if !line.contains("="), let colon = line.firstIndex(of: ":") {
      let name = String(line[..<colon])
      guard ["title", "needs", "beside"].contains(name) else {
        throw KeyMapError("\(quoted(line)) says nothing that is known: there are title:, needs: and beside:.")
      }
      notes[name] = String(line[line.index(after: colon)...]).trimmed
    } else {
      rules.append(try Rule(line))
    }
  }

  // MARK: Names

  /// A name after a rule was applied to it.
  public struct Renamed: Sendable {
    /// The new name.
    public let name: String
    /// How the axes lie on their side.
    public let axes: Axes?

    package init(name: String, axes: Axes?) { (self.name, self.axes) = (name, axes) }
  }

  /// Our name for one of theirs; nil when no rule matches.
  public func ours(_ name: String) -> Renamed? { ours(Array(name.utf8), from: 0) }

  /// Our name for what stands from `start` on in a name of theirs; nil when no rule matches.
  package func ours(_ name: [UInt8], from start: Int) -> Renamed? {
    for rule in rules {
      if let captures = rule.theirs.match(name, from: start), let result = rule.ours.write(captures, of: name)
      {
        return Renamed(name: String(decoding: result, as: UTF8.self), axes: rule.axes)
      }
    }
    return nil
  }

  /// The first rule that matches what stands from `start` on in a name of theirs.
  package func rule(for name: [UInt8], from start: Int) -> Int? {
    rules.firstIndex { $0.theirs.match(name, from: start) != nil }
  }

  /// Their name for one of ours; nil when no rule matches.
  public func theirs(_ name: String) -> Renamed? {
    let name = Array(name.utf8)
    for rule in rules {
      if let captures = rule.ours.match(name), let result = rule.theirs.write(captures, of: name) {
        return Renamed(name: String(decoding: result, as: UTF8.self), axes: rule.axes)
      }
    }
    return nil
  }

  /// A rule that gives `theirs` the name `ours`, and other names the same way: numbers that both have
  /// and the last component, where it is the same, become places. Nil for names that rules can't be written for.
  package static func rule(from theirs: String, to ours: String) -> String? {
    let text = generalised(theirs, ours)
    return KeyMap([(try? Rule(text))].compactMap { $0 }).ours(theirs)?.name == ours ? text : nil
  }

  private static func generalised(_ theirs: String, _ ours: String) -> String {
    var (left, right) = (theirs.split(separator: "."), ours.split(separator: "."))
    guard left.count > 1, right.count > 1, left.last == right.last else { return "\(theirs)=\(ours)" }
    left[left.count - 1] = "{*}"
    right[right.count - 1] = "{*}"
    var letters = "abcdefghijklmnopqrstuvwxyz"[...]
    for (index, component) in left.enumerated() where component.allSatisfy(\.isNumber) {
      guard index < right.count, right[index] == component, let letter = letters.popFirst() else { continue }
      left[index] = "{\(letter)}"
      right[index] = "{\(letter)}"
    }
    return left.joined(separator: ".") + "=" + right.joined(separator: ".")
  }

  /// Everything that they may call our `name`, by any rule and with any optional text.
  package func spellings(_ name: String) -> [[UInt8]] {
    let name = Array(name.utf8)
    return rules.flatMap { rule in
      rule.ours.match(name).map { rule.theirs.spellings($0, of: name) } ?? []
    }
  }
}

/// What is wrong with a rule.
public struct KeyMapError: Error, Sendable, CustomStringConvertible {
  /// The fact, and what would be right.
  public let description: String

  init(_ description: String) { self.description = description }
}

extension StringProtocol {
  /// Without spaces and tabs at both ends.
  fileprivate var trimmed: String {
    func isSpace(_ unit: UInt8) -> Bool { unit == 0x20 || unit == 0x09 || unit == 0x0D }
    var text = Array(utf8.drop(while: isSpace))
    while let last = text.last, isSpace(last) { text.removeLast() }
    return String(decoding: text, as: UTF8.self)
  }

  /// Where `text` stands for the first time.
  fileprivate func range(of text: String) -> Range<Index>? {
    utf8.indices.lazy.compactMap { range(of: text, at: $0) }.first
  }

  /// Where `text` stands for the last time.
  fileprivate func range(ofLast text: String) -> Range<Index>? {
    utf8.indices.reversed().lazy.compactMap { range(of: text, at: $0) }.first
  }

  private func range(of text: String, at start: Index) -> Range<Index>? {
    guard utf8[start...].starts(with: text.utf8) else { return nil }
    return start..<utf8.index(start, offsetBy: text.utf8.count)
  }
}
