// One side of a rule that renames parameters: literal text with places for numbers and for a rest.
//
//   layer{s+1}.{b}.conv{i}.{*}
//
//   {s}        a decimal number without leading zeros; one lower-case letter names it
//   {s+1}      the number that is larger by one; {s-1} the one that is smaller. No number is negative
//   {*}        the rest of the name, at least one character; only at the end
//   [text]     text that may be there, and is left out when a name is written

/// A pattern for parameter names.
struct KeyPattern: Sendable {
  /// What a pattern found in a name.
  struct Captures {
    fileprivate(set) var numbers: [(letter: UInt8, value: Int)] = []
    fileprivate(set) var rest: Substring.UTF8View?

    func number(_ letter: UInt8) -> Int? { numbers.first { $0.letter == letter }?.value }
  }

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
        parts.append(.optional(try end("]")))
      case "}", "]": throw KeyMapError("\(quoted(text)) closes what it did not open.")
      default: literal.append(byte)
      }
    }
    if !literal.isEmpty { parts.append(.literal(literal)) }
    let isWhole = parts.dropLast().allSatisfy { if case .rest = $0 { false } else { true } }
    guard !parts.isEmpty, isWhole else {
      throw KeyMapError("\(quoted(text)) is no pattern: {*} stands at the end only, and something must be there.")
    }
    self.parts = parts
  }

  private static func placeholder(_ bytes: [UInt8], in text: String) throws(KeyMapError) -> Part {
    if bytes == Array("*".utf8) { return .rest }
    let body = String(decoding: bytes, as: UTF8.self)
    guard let letter = bytes.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(letter),
      let offset = bytes.count == 1 ? 0 : Int(body.dropFirst()), abs(offset) <= 9,
      bytes.count == 1 || bytes[1] == UInt8(ascii: "+") || bytes[1] == UInt8(ascii: "-")
    else {
      throw KeyMapError("\(quoted(text)) has the placeholder {\(printable(body))}; there are {a} to {z}, {a+1} and {*}.")
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

  // MARK: Matching

  /// What the places stand for, when the whole of `name` fits.
  func match(_ name: Substring) -> Captures? {
    var captures = Captures()
    return match(parts[...], name.utf8, &captures) ? captures : nil
  }

  private func match(_ parts: ArraySlice<Part>, _ name: Substring.UTF8View, _ captures: inout Captures) -> Bool {
    guard let part = parts.first else { return name.isEmpty }
    let others = parts.dropFirst()
    switch part {
    case .literal(let text):
      return name.starts(with: text) && match(others, name.dropFirst(text.count), &captures)
    case .optional(let text):
      let before = captures
      if name.starts(with: text), match(others, name.dropFirst(text.count), &captures) { return true }
      captures = before
      return match(others, name, &captures)
    case .number(let letter, let offset):
      let digits = name.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
      guard !digits.isEmpty, digits.count <= 9, digits.count == 1 || digits.first != UInt8(ascii: "0") else {
        return false
      }
      let value = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) } - offset
      guard value >= 0, captures.number(letter) ?? value == value else { return false }
      captures.numbers.append((letter, value))
      return match(others, name.dropFirst(digits.count), &captures)
    case .rest:
      captures.rest = name
      return !name.isEmpty
    }
  }

  // MARK: Writing

  /// The name that has `captures` in its places; nil when a number would be negative.
  func write(_ captures: Captures) -> String? {
    var result: [UInt8] = []
    for part in parts {
      switch part {
      case .literal(let text): result += text
      case .optional: break
      case .number(let letter, let offset):
        guard let value = captures.number(letter), value + offset >= 0 else { return nil }
        result += Array(String(value + offset).utf8)
      case .rest: result += captures.rest ?? "".utf8[...]
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  /// The names that have `captures` in their places, with every choice of optional text.
  func spellings(_ captures: Captures) -> [String] {
    var results = [""]
    for part in parts {
      switch part {
      case .literal(let text):
        results = results.map { $0 + String(decoding: text, as: UTF8.self) }
      case .optional(let text):
        results += results.map { $0 + String(decoding: text, as: UTF8.self) }
      case .number(let letter, let offset):
        guard let value = captures.number(letter), value + offset >= 0 else { return [] }
        results = results.map { $0 + String(value + offset) }
      case .rest: results = results.map { $0 + String(decoding: captures.rest ?? "".utf8[...], as: UTF8.self) }
      }
    }
    return results
  }
}
