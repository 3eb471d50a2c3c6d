// The Python dict literal that is the header of a .npy file: text, booleans, integers and flat tuples
// of integers. Anything else (the list of a structured type) is kept as "something else".

/// A value in a .npy header.
enum PythonLiteral {
  case text(String)
  case bool(Bool)
  case int(Int)
  case tuple([Int])
  case other

  var text: String? { if case .text(let text) = self { text } else { nil } }
  var bool: Bool? { if case .bool(let bool) = self { bool } else { nil } }
  var ints: [Int]? { if case .tuple(let ints) = self { ints } else { nil } }

  /// The entries of the dict that is all of `bytes`.
  ///
  /// - Throws: `.malformed` when it is no such dict, or has a key twice.
  static func dictionary(_ bytes: Bytes) throws(CheckpointError) -> [String: PythonLiteral] {
    var parser = Parser(rest: bytes.array[...])
    guard let entries = parser.dictionary() else { throw NPY.Header.damaged }
    return entries
  }

  private struct Parser {
    var rest: ArraySlice<UInt8>

    mutating func dictionary() -> [String: PythonLiteral]? {
      var entries: [String: PythonLiteral] = [:]
      guard take("{") else { return nil }
      while !take("}") {
        guard let key = text(), take(":"), let value = value(),
          entries.updateValue(value, forKey: key) == nil, take(",") || peek == UInt8(ascii: "}")
        else { return nil }
      }
      skipSpace()
      return rest.isEmpty ? entries : nil
    }

    private mutating func value() -> PythonLiteral? {
      switch peek {
      case UInt8(ascii: "'"), UInt8(ascii: "\""): return text().map { .text($0) }
      case UInt8(ascii: "("): return tuple().map { .tuple($0) }
      case UInt8(ascii: "["): return skipList() ? .other : nil
      case UInt8(ascii: "T"): return word("True") ? .bool(true) : nil
      case UInt8(ascii: "F"): return word("False") ? .bool(false) : nil
      default: return int().map { .int($0) }
      }
    }

    private mutating func text() -> String? {
      guard let quote = peek, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else { return nil }
      rest.removeFirst()
      guard let end = rest.firstIndex(of: quote) else { return nil }
      defer { rest = rest[(end + 1)...] }
      return String(decoding: rest[..<end], as: UTF8.self)
    }

    private mutating func tuple() -> [Int]? {
      var result: [Int] = []
      guard take("(") else { return nil }
      while !take(")") {
        guard let int = int() else { return nil }
        result.append(int)
        // A single number in parentheses is that number; only a comma makes it a tuple.
        guard take(",") || result.count > 1 && peek == UInt8(ascii: ")") else { return nil }
      }
      return result
    }

    /// Digits; Python 2 puts an L behind them.
    private mutating func int() -> Int? {
      skipSpace()
      let digits = rest.prefix { (0x30...0x39).contains($0) }
      rest = rest.dropFirst(digits.count)
      if peek == UInt8(ascii: "L") { rest.removeFirst() }
      return Int(String(decoding: digits, as: UTF8.self))
    }

    /// Passes over a list, brackets and quoted text inside it included.
    private mutating func skipList() -> Bool {
      var depth = 0
      var quote: UInt8?
      while let byte = rest.popFirst() {
        if let open = quote {
          if byte == open { quote = nil }
        } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
          quote = byte
        } else if byte == UInt8(ascii: "[") {
          depth += 1
        } else if byte == UInt8(ascii: "]") {
          depth -= 1
          if depth == 0 { return true }
        }
      }
      return false
    }

    private mutating func word(_ word: StaticString) -> Bool {
      let expected = Array("\(word)".utf8)
      guard rest.starts(with: expected) else { return false }
      rest = rest.dropFirst(expected.count)
      return true
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
      guard peek == UInt8(truncatingIfNeeded: character.value) else { return false }
      rest.removeFirst()
      return true
    }

    /// The next byte that is no space.
    private var peek: UInt8? {
      mutating get {
        skipSpace()
        return rest.first
      }
    }

    private mutating func skipSpace() {
      rest = rest.drop { $0 == 0x20 || $0 == 0x0A || $0 == 0x0D || $0 == 0x09 }
    }
  }
}
