// The strict parser for JSON.swift: UTF-8 only, no duplicate members, bounded nesting.

extension JSON {
  /// Parses one JSON text that fills all of `bytes`.
  ///
  /// - Parameter longestArray: how many elements an array may have.
  /// - Throws: `.malformed` with the byte where the text stops being JSON, or `.limitExceeded`.
  package init(
    parsing bytes: Bytes, limits: Limits = .standard, longestArray: Int = .max
  ) throws(CheckpointError) {
    var parser = try JSONParser(bytes, limits, longestArray)
    self = try parser.value(depth: 0)
    try parser.end()
  }

  /// Parses an object that fills all of `bytes`, and calls `body` with each member in order; none is kept.
  ///
  /// - Throws: as `init`, or what `body` throws.
  static func forEachMember(
    of bytes: Bytes, limits: Limits, longestArray: Int,
    _ body: (_ name: String, _ value: JSON) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    var parser = try JSONParser(bytes, limits, longestArray)
    try parser.members(depth: 0, body)
    try parser.end()
  }
}

private struct JSONParser {
  private let text: [UInt8]
  private let limits: Limits
  private let longestArray: Int
  private var position = 0

  init(_ bytes: Bytes, _ limits: Limits, _ longestArray: Int) throws(CheckpointError) {
    guard bytes.isUTF8 else { throw CheckpointError(.malformed, "its JSON is not UTF-8.") }
    text = bytes.array
    self.limits = limits
    self.longestArray = longestArray
  }

  /// Only white space may be left.
  mutating func end() throws(CheckpointError) {
    skipWhiteSpace()
    guard position == text.count else { throw malformed("goes on after its end") }
  }

  mutating func value(depth: Int) throws(CheckpointError) -> JSON {
    guard depth < limits.jsonNesting else {
      throw CheckpointError(.limitExceeded, "its JSON is nested more than \(limits.jsonNesting) levels deep.")
    }
    skipWhiteSpace()
    guard let byte = peek else { throw malformed("ends too soon") }
    switch byte {
    case UInt8(ascii: "{"):
      var members: [(name: String, value: JSON)] = []
      try self.members(depth: depth) { (name, value) throws(CheckpointError) in members.append((name, value))
      }
      return .object(members)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: return try number()
    }
  }

  /// Calls `body` with the members of an object.
  mutating func members(
    depth: Int, _ body: (_ name: String, _ value: JSON) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    var names = SeenNames()
    skipWhiteSpace()
    guard take("{") else { throw malformed("is no object") }
    skipWhiteSpace()
    if take("}") { return }
    repeat {
      skipWhiteSpace()
      guard peek == UInt8(ascii: "\"") else { throw malformed("lacks a member's name") }
      let name = try string()
      guard names.insert(name) else { throw malformed("has two members \(quoted(name))") }
      skipWhiteSpace()
      guard take(":") else { throw malformed("lacks a colon") }
      try body(name, value(depth: depth + 1))
      skipWhiteSpace()
    } while take(",")
    guard take("}") else { throw malformed("lacks a closing brace") }
  }

  /// The names of an object's members; most objects have few, for which a search is faster than hashing.
  private struct SeenNames {
    private var first: [CodeUnitKey] = []
    private var others: Set<CodeUnitKey> = []

    /// Notes `name`; false when it was there.
    mutating func insert(_ name: String) -> Bool {
      let name = CodeUnitKey(name)
      if !others.isEmpty { return others.insert(name).inserted }
      if first.contains(name) { return false }
      first.append(name)
      if first.count == 8 { others = Set(first) }
      return true
    }
  }

  private mutating func array(depth: Int) throws(CheckpointError) -> JSON {
    var elements: [JSON] = []
    position += 1
    skipWhiteSpace()
    if take("]") { return .array([]) }
    repeat {
      guard elements.count < longestArray else {
        throw CheckpointError(
          .limitExceeded, "its JSON has an array of more than \(longestArray) elements. Get the file again.",
          offset: position)
      }
      elements.append(try value(depth: depth + 1))
      skipWhiteSpace()
    } while take(",")
    guard take("]") else { throw malformed("lacks a closing bracket") }
    return .array(elements)
  }

  private mutating func string() throws(CheckpointError) -> String {
    position += 1
    let start = position
    while let byte = peek, byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
      position += 1
    }
    // Nearly always this is all of it.
    var units = text[start..<position]
    if take("\"") { return String(decoding: units, as: UTF8.self) }
    while let byte = peek {
      position += 1
      switch byte {
      case UInt8(ascii: "\""): return String(decoding: units, as: UTF8.self)
      case UInt8(ascii: "\\"): units += try escape()
      case 0..<0x20: throw malformed("has a control character in a string")
      default: units.append(byte)
      }
    }
    throw malformed("lacks a closing quote")
  }

  /// What follows a backslash, as UTF-8.
  private mutating func escape() throws(CheckpointError) -> [UInt8] {
    guard let byte = peek else { throw malformed("ends in an escape") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "u"):
      var value = try codeUnit()
      if 0xD800..<0xDC00 ~= value, take("\\"), take("u") {
        let low = try codeUnit()
        guard 0xDC00..<0xE000 ~= low else { throw malformed("has half a surrogate pair") }
        value = 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00)
      }
      guard let scalar = Unicode.Scalar(value) else { throw malformed("has half a surrogate pair") }
      return Array(String(scalar).utf8)
    default: throw malformed("has an unknown escape")
    }
  }

  private mutating func codeUnit() throws(CheckpointError) -> UInt32 {
    guard text.count - position >= 4 else { throw malformed("ends in an escape") }
    let digits = text[position..<position + 4]
    guard digits.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }),
      let value = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw malformed("has a broken escape") }
    position += 4
    return value
  }

  private mutating func number() throws(CheckpointError) -> JSON {
    let start = position
    _ = take("-")
    let leadingZero = peek == UInt8(ascii: "0")
    let integerDigits = skipDigits()
    guard integerDigits > 0, !(leadingZero && integerDigits > 1) else {
      throw malformed("holds something that is no value")
    }
    var isInteger = true
    if take(".") {
      isInteger = false
      guard skipDigits() > 0 else { throw malformed("has a broken number") }
    }
    if take("e") || take("E") {
      isInteger = false
      if !take("+") { _ = take("-") }
      guard skipDigits() > 0 else { throw malformed("has a broken number") }
    }
    // What other parsers read as a floating-point zero is no integer here either.
    let isNegativeZero = leadingZero && text[start] == UInt8(ascii: "-")
    if isInteger, !isNegativeZero, let int = integer(start) { return .int(int) }
    let digits = String(decoding: text[start..<position], as: UTF8.self)
    guard let double = Double(digits) else { throw malformed("has a number out of range") }
    return .double(double)
  }

  /// The integer whose sign and digits stand between `start` and `position`; nil beyond 64 bits.
  private func integer(_ start: Int) -> Int? {
    var result = 0
    let isNegative = text[start] == UInt8(ascii: "-")
    for byte in text[(isNegative ? start + 1 : start)..<position] {
      let digit = Int(byte - UInt8(ascii: "0"))
      let (shifted, overflow) = result.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = shifted.addingReportingOverflow(isNegative ? -digit : digit)
      if overflow || overflow2 { return nil }
      result = sum
    }
    return result
  }

  private mutating func skipDigits() -> Int {
    let start = position
    while let byte = peek, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte { position += 1 }
    return position - start
  }

  private mutating func literal(_ word: StaticString, _ value: JSON) throws(CheckpointError) -> JSON {
    for byte in "\(word)".utf8 {
      guard peek == byte else { throw malformed("holds something that is no value") }
      position += 1
    }
    return value
  }

  private var peek: UInt8? { position < text.count ? text[position] : nil }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard peek == UInt8(truncatingIfNeeded: character.value) else { return false }
    position += 1
    return true
  }

  private mutating func skipWhiteSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private func malformed(_ fact: String) -> CheckpointError {
    CheckpointError(.malformed, "its JSON \(fact). Get the file again.", offset: position)
  }
}
