// JSON (RFC 8259) that keeps the order of members and refuses duplicate ones: what the headers of
// safetensors files need. Foundation's parser does neither.

/// A JSON value.
package enum JSON: Sendable {
  case null
  case bool(Bool)
  case int(Int)
  case double(Double)
  case string(String)
  case array([JSON])
  case object([(name: String, value: JSON)])

  package var string: String? {
    if case .string(let string) = self { return string }
    return nil
  }

  package var int: Int? {
    if case .int(let int) = self { return int }
    return nil
  }

  /// A number, whole or not.
  package var number: Double? {
    if case .double(let double) = self { return double }
    return int.map { Double($0) }
  }

  package var array: [JSON]? {
    if case .array(let array) = self { return array }
    return nil
  }

  package var object: [(name: String, value: JSON)]? {
    if case .object(let object) = self { return object }
    return nil
  }

  /// An object's member.
  package subscript(name: String) -> JSON? {
    let key = CodeUnitKey(name)
    return object?.first { CodeUnitKey($0.name) == key }?.value
  }

  /// An array of whole numbers.
  package static func ints(_ values: [Int]) -> JSON { .array(values.map { .int($0) }) }

  /// An array of strings.
  package static func strings(_ values: [String]) -> JSON { .array(values.map { .string($0) }) }
}

// MARK: Writing

extension JSON {
  /// The value as text without white space; with `indented`, one member a line.
  package func text(indented: Bool = false) -> String {
    var text: [UInt8] = []
    write(to: &text, indentation: indented ? 0 : nil)
    return String(decoding: text, as: UTF8.self)
  }

  private func write(to text: inout [UInt8], indentation: Int?) {
    switch self {
    case .null: text += "null".utf8
    case .bool(let value): text += (value ? "true" : "false").utf8
    case .int(let value): text += String(value).utf8
    // JSON has no NaN and no infinities.
    case .double(let value): text += (value.isFinite ? value.description : "null").utf8
    case .string(let value): JSON.write(value, to: &text)
    case .array(let elements):
      text += "[".utf8
      for (index, element) in elements.enumerated() {
        if index > 0 { text += (indentation == nil ? "," : ", ").utf8 }
        element.write(to: &text, indentation: indentation)
      }
      text += "]".utf8
    case .object(let members):
      let inner = indentation.map { $0 + 2 }
      text += "{".utf8
      for (index, member) in members.enumerated() {
        if index > 0 { text += ",".utf8 }
        if let inner { JSON.breakLine(inner, &text) }
        JSON.write(member.name, to: &text)
        text += (inner == nil ? ":" : ": ").utf8
        member.value.write(to: &text, indentation: inner)
      }
      if let indentation, !members.isEmpty { JSON.breakLine(indentation, &text) }
      text += "}".utf8
    }
  }

  private static func breakLine(_ indentation: Int, _ text: inout [UInt8]) {
    text.append(UInt8(ascii: "\n"))
    text += repeatElement(UInt8(ascii: " "), count: indentation)
  }

  private static func write(_ string: String, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "\""))
    for byte in string.utf8 {
      switch byte {
      case UInt8(ascii: "\""): text += "\\\"".utf8
      case UInt8(ascii: "\\"): text += "\\\\".utf8
      case UInt8(ascii: "\n"): text += "\\n".utf8
      case UInt8(ascii: "\r"): text += "\\r".utf8
      case UInt8(ascii: "\t"): text += "\\t".utf8
      case 0..<0x20: text += ("\\u00" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16)).utf8
      default: text.append(byte)
      }
    }
    text.append(UInt8(ascii: "\""))
  }
}
