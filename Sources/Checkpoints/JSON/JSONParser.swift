// The strict parser for JSON.swift: UTF-8 only, no duplicate members, bounded nesting.

extension JSON {
  /// Parses one JSON text that fills all of `bytes`.
  ///
  /// - Parameter longestArray: how many elements an array may have.
  /// - Throws: `.malformed` with the byte where the text stops being JSON, or `.limitExceeded`.
  package init(
    parsing bytes: Bytes, limits: Limits = .standard, longestArray: Int = .max
  ) throws(CheckpointError) {
    var parser = try JSONParser(bytes, limits: limits, longestArray: longestArray)
    self = try parser.value()
    try parser.end()
  }
}

/// A place in a JSON text, from which values are read one after the other: as they are, or member by member and
/// element by element where a ``JSON`` of them would take more time than the text.
struct JSONParser {
  private let text: [UInt8]
  private let limits: Limits
  private let longestArray: Int
  private var position = 0
  /// How many objects and arrays are open.
  private var depth = 0
  /// The names seen in the objects that are open; those of large objects are in sets of their own.
  private var names: [CodeUnitKey] = []

  init(_ bytes: Bytes, limits: Limits, longestArray: Int) throws(CheckpointError) {
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

  /// The next value.
  mutating func value() throws(CheckpointError) -> JSON {
    switch try next() {
    case UInt8(ascii: "{"):
      var members: [(name: String, value: JSON)] = []
      try self.members { (parser: inout JSONParser, name) throws(CheckpointError) in
        members.append((name, try parser.value()))
      }
      return .object(members)
    case UInt8(ascii: "["):
      var elements: [JSON] = []
      try self.elements { (parser: inout JSONParser) throws(CheckpointError) in
        elements.append(try parser.value())
      }
      return .array(elements)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try literal("true", .bool(true))
    case UInt8(ascii: "f"): return try literal("false", .bool(false))
    case UInt8(ascii: "n"): return try literal("null", .null)
    default: return try number()
    }
  }

  /// The next value if it is a string; nil, behind it, if it is something else.
  mutating func stringIfAny() throws(CheckpointError) -> String? {
    if try next() == UInt8(ascii: "\"") { return try string() }
    return try value().string
  }

  /// Appends the next value to `ints` if it is an array of whole numbers.
  ///
  /// - Returns: whether it is; else the place is behind it all the same, and some may have been appended.
  mutating func appendIntsIfAny(to ints: inout [Int]) throws(CheckpointError) -> Bool {
    guard try next() == UInt8(ascii: "[") else {
      _ = try value()
      return false
    }
    var areInts = true
    try elements { (parser: inout JSONParser) throws(CheckpointError) in
      if let int = try parser.value().int { ints.append(int) } else { areInts = false }
    }
    return areInts
  }

  /// Calls `body` with the name of each member of the next value, for which it must read the member's value.
  ///
  /// - Parameter areKept: whether `body` keeps the names and refuses a second one itself.
  /// - Throws: `.malformed` if the value is no object, or has two members of one name.
  mutating func members(
    areKept: Bool = false, _ body: (inout JSONParser, String) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    guard try next() == UInt8(ascii: "{") else { throw malformed("is no object") }
    position += 1
    depth += 1
    let first = names.count
    // Most objects have few members, for which a search is faster than hashing.
    var many: Set<CodeUnitKey> = []
    skipWhiteSpace()
    if !take("}") {
      repeat {
        skipWhiteSpace()
        guard peek == UInt8(ascii: "\"") else { throw malformed("lacks a member's name") }
        let name = try string()
        if !areKept {
          let key = CodeUnitKey(name)
          let isNew = many.isEmpty ? !names[first...].contains(key) : many.insert(key).inserted
          guard isNew else { throw malformed("has two members \(quoted(name))") }
          if many.isEmpty {
            names.append(key)
            if names.count == first + 8 { many = Set(names[first...]) }
          }
        }
        skipWhiteSpace()
        guard take(":") else { throw malformed("lacks a colon") }
        try body(&self, name)
        skipWhiteSpace()
      } while take(",")
      guard take("}") else { throw malformed("lacks a closing brace") }
    }
    names.removeLast(names.count - first)
    depth -= 1
  }

  /// Calls `body` for each element of the array that comes next; it must read the element.
  private mutating func elements(
    _ body: (inout JSONParser) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    position += 1
    depth += 1
    var count = 0
    skipWhiteSpace()
    if !take("]") {
      repeat {
        guard count < longestArray else {
          throw CheckpointError(
            .limitExceeded,
            "its JSON has an array of more than \(longestArray) elements. Get the file again.",
            offset: position)
        }
        count += 1
        try body(&self)
        skipWhiteSpace()
      } while take(",")
      guard take("]") else { throw malformed("lacks a closing bracket") }
    }
    depth -= 1
  }

  /// The first byte of the next value, which is not passed over.
  private mutating func next() throws(CheckpointError) -> UInt8 {
    guard depth < limits.jsonNesting else {
      throw CheckpointError(.limitExceeded, "its JSON is nested more than \(limits.jsonNesting) levels deep.")
    }
    skipWhiteSpace()
    guard let byte = peek else { throw malformed("ends too soon") }
    return byte
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
