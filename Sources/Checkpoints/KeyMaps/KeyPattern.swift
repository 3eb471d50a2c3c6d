// One side of a rule that renames parameters: literal text with places for numbers and for a rest.
//
//   layer{s+1}.{b}.conv{i}.{*}
//
//   {s}        a decimal number without leading zeros; one lower-case letter names it
//   {s+1}      the number that is larger by one; {s-1} the one that is smaller. No number is negative
//   {*}        the rest of the name, at least one character; only at the end
//   [text]     text that may be there, and is left out when a name is written

/// A pattern for parameter names, which are arrays of their UTF-8 here: every name of a file is held against many.
struct KeyPattern: Sendable {
  /// What a pattern found in a name.
  struct Captures {
    /// The letters of the numbers that were found; 0 for none.
    private var letters = SIMD4<UInt8>()
    private var values = SIMD4<Int>()
    /// Where the rest begins; nil without one.
    fileprivate var rest: Int?

    func number(_ letter: UInt8) -> Int? {
      for index in 0..<4 where letters[index] == letter { return values[index] }
      return nil
    }

    /// Notes a number; false when its letter stands for another one.
    fileprivate mutating func take(_ letter: UInt8, _ value: Int) -> Bool {
      for index in 0..<4 {
        if letters[index] == letter { return values[index] == value }
        if letters[index] == 0 {
          letters[index] = letter
          values[index] = value
          return true
        }
      }
      return false
    }
  }

  /// Each optional part doubles the ways in which a name may match, and each part takes stack.
  private static let mostParts = 64
  private static let mostOptionals = 6
  /// Room for so many in ``Captures``.
  private static let mostNumbers = 4

  private enum Part: Sendable {
    case literal([UInt8])
    case optional([UInt8])
    case number(letter: UInt8, offset: Int)
    case rest
  }

  private let parts: [Part]

  /// - Throws: a sentence that says what is wrong.
  init(_ text: String) throws(KeyMapError) {
    var parts: [Part] = []
    var literal: [UInt8] = []
    var input = Array(text.utf8)[...]
    func end(_ close: Character) throws(KeyMapError) -> [UInt8] {
      guard let end = input.firstIndex(of: close.asciiValue ?? 0) else {
        throw KeyMapError("\(quoted(text)) has no \"\(close)\" where one is due.")
      }
      defer { input = input[(end + 1)...] }
      return Array(input[..<end])
    }
    while let byte = input.popFirst() {
      switch Character(UnicodeScalar(byte)) {
      case "{":
        if !literal.isEmpty { parts.append(.literal(literal)) }
        literal = []
        parts.append(try KeyPattern.placeholder(end("}"), in: text))
      case "[":
        if !literal.isEmpty { parts.append(.literal(literal)) }
        literal = []
        let optional = try end("]")
        guard !optional.isEmpty else { throw KeyMapError("\(quoted(text)) has optional text that is empty.") }
        parts.append(.optional(optional))
      case "}", "]": throw KeyMapError("\(quoted(text)) closes what it did not open.")
      default: literal.append(byte)
      }
    }
    if !literal.isEmpty { parts.append(.literal(literal)) }
    let isWhole = parts.dropLast().allSatisfy { if case .rest = $0 { false } else { true } }
    let letters = Set(parts.compactMap { if case .number(let letter, _) = $0 { letter } else { nil } })
    let optionals = parts.count { if case .optional = $0 { true } else { false } }
    guard parts.count <= KeyPattern.mostParts, optionals <= KeyPattern.mostOptionals else {
      throw KeyMapError(
        "\(quoted(text)) has more than \(KeyPattern.mostParts) parts, or than \(KeyPattern.mostOptionals) optional ones."
      )
    }
    guard letters.count <= KeyPattern.mostNumbers else {
      throw KeyMapError("\(quoted(text)) has more than \(KeyPattern.mostNumbers) different numbers.")
    }
    guard !parts.isEmpty, isWhole else {
      throw KeyMapError(
        "\(quoted(text)) is no pattern: {*} stands at the end only, and something must be there.")
    }
    self.parts = parts
  }

  private static func placeholder(_ bytes: [UInt8], in text: String) throws(KeyMapError) -> Part {
    if bytes == Array("*".utf8) { return .rest }
    let body = String(decoding: bytes, as: UTF8.self)
    guard let letter = bytes.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(letter),
      let offset = bytes.count == 1 ? 0 : Int(body.dropFirst()), (-9...9).contains(offset),
      bytes.count == 1 || bytes[1] == UInt8(ascii: "+") || bytes[1] == UInt8(ascii: "-")
    else {
      throw KeyMapError(
        "\(quoted(text)) has the placeholder {\(printable(body))}; there are {a} to {z}, {a+1} and {*}.")
    }
    return .number(letter: letter, offset: offset)
  }

  /// The letters of the numbers, and `*` for a rest.
  var placeholders: Set<UInt8> {
    Set(
      parts.compactMap { part in
        switch part {
        case .number(let letter, _): letter
        case .rest: UInt8(ascii: "*")
        case .literal, .optional: nil
        }
      })
  }

  /// The text before the first place.
  var start: [UInt8] {
    if case .literal(let text)? = parts.first { return text }
    return []
  }

  // MARK: Matching

  /// What the places stand for, when the whole of `name` from `start` on fits.
  func match(_ name: [UInt8], from start: Int = 0) -> Captures? {
    var captures = Captures()
    return match(0, name, start, &captures) ? captures : nil
  }

  private func match(_ part: Int, _ name: [UInt8], _ start: Int, _ captures: inout Captures) -> Bool {
    guard part < parts.count else { return start == name.count }
    switch parts[part] {
    case .literal(let text):
      return KeyPattern.has(text, name, at: start) && match(part + 1, name, start + text.count, &captures)
    case .optional(let text):
      if KeyPattern.has(text, name, at: start) {
        let before = captures
        if match(part + 1, name, start + text.count, &captures) { return true }
        captures = before
      }
      return match(part + 1, name, start, &captures)
    case .number(let letter, let offset):
      var (end, value) = (start, 0)
      while end < name.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(name[end]), end - start < 10 {
        value = value * 10 + Int(name[end] - UInt8(ascii: "0"))
        end += 1
      }
      let digits = end - start
      guard digits > 0, digits < 10, digits == 1 || name[start] != UInt8(ascii: "0"), value >= offset,
        captures.take(letter, value - offset)
      else { return false }
      return match(part + 1, name, end, &captures)
    case .rest:
      captures.rest = start
      return start < name.count
    }
  }

  private static func has(_ text: [UInt8], _ name: [UInt8], at start: Int) -> Bool {
    guard text.count <= name.count - start else { return false }
    for index in 0..<text.count where text[index] != name[start + index] { return false }
    return true
  }

  // MARK: Writing

  /// The name that has what was found in `name` in its places; nil when a number would be negative.
  func write(_ captures: Captures, of name: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(name.count + 16)
    for part in parts {
      switch part {
      case .literal(let text): result += text
      case .optional: break
      case .number(let letter, let offset):
        guard let value = captures.number(letter), value + offset >= 0 else { return nil }
        result += String(value + offset).utf8
      case .rest: result += name[(captures.rest ?? name.count)...]
      }
    }
    return result
  }

  /// The names that have what was found in `name` in their places, with every choice of optional text.
  func spellings(_ captures: Captures, of name: [UInt8]) -> [[UInt8]] {
    var results: [[UInt8]] = [[]]
    for part in parts {
      switch part {
      case .literal(let text): results = results.map { $0 + text }
      case .optional(let text): results += results.map { $0 + text }
      case .number(let letter, let offset):
        guard let value = captures.number(letter), value + offset >= 0 else { return [] }
        results = results.map { $0 + String(value + offset).utf8 }
      case .rest: results = results.map { $0 + name[(captures.rest ?? name.count)...] }
      }
    }
    return results
  }
}
