// The strict parser for JSON.swift: UTF-8 only, no duplicate members, bounded nesting.

extension JSON {
  /// Parses one JSON text that fills all of `bytes`.
  ///
  /// - Throws: `.malformed` with the byte where the text stops being JSON.
  package init(parsing bytes: Bytes, limits: Limits = .standard) throws(CheckpointError) {
    guard bytes.utf8 != nil else { throw CheckpointError(.malformed, "its JSON is not UTF-8.") }
    var parser = JSONParser(text: bytes.array, limits: limits)
    self = try parser.parse()
  }
}

private struct JSONParser {
  private let text: [UInt8]
  private let limits: Limits
  private var position = 0

  init(text: [UInt8], limits: Limits) {
    self.text = text
    self.limits = limits
  }

  mutating func parse() throws(CheckpointError) -> JSON {
    let value = try value(depth: 0)
    skipWhiteSpace()
    guard position == text.count else { throw malformed("goes on after its end") }
    return value
  }

  private mutating func value(depth: Int) throws(CheckpointError) -> JSON {
    guard depth < limits.jsonNesting else {
      throw CheckpointError(.limitExceeded, "its JSON is nested more than \(limits.jsonNesting) levels deep.")
    }
    skipWhiteSpace()
    guard let byte = peek else { throw malformed("ends too soon") }
    switch byte {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: return try number()
    }
  }

  private mutating func object(depth: Int) throws(CheckpointError) -> JSON {
    var members: [(name: String, value: JSON)] = []
    var names: Set<CodeUnitKey> = []
    position += 1
    skipWhiteSpace()
    if take("}") { return .object([]) }
    repeat {
      skipWhiteSpace()
      guard peek == UInt8(ascii: "\"") else { throw malformed("lacks a member's name") }
      let name = try string()
      guard names.insert(CodeUnitKey(name)).inserted else {
        throw malformed("has two members \(quoted(name))")
      }
      skipWhiteSpace()
      guard take(":") else { throw malformed("lacks a colon") }
      members.append((name, try value(depth: depth + 1)))
      skipWhiteSpace()
    } while take(",")
    guard take("}") else { throw malformed("lacks a closing brace") }
    return .object(members)
  }

  private mutating func array(depth: Int) throws(CheckpointError) -> JSON {
    var elements: [JSON] = []
    position += 1
    skipWhiteSpace()
    if take("]") { return .array([]) }
    repeat {
      elements.append(try value(depth: depth + 1))
      skipWhiteSpace()
    } while take(",")
    guard take("]") else { throw malformed("lacks a closing bracket") }
    return .array(elements)
  }

  private mutating func string() throws(CheckpointError) -> String {
    position += 1
    var units: [UInt8] = []
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
    let digits = String(decoding: text[start..<position], as: UTF8.self)
    if isInteger, let int = Int(digits) { return .int(int) }
    guard let double = Double(digits) else { throw malformed("has a number out of range") }
    return .double(double)
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
