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
    object?.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
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
    var text = ""
    write(to: &text, indentation: indented ? 0 : nil)
    return text
  }

  private func write(to text: inout String, indentation: Int?) {
    switch self {
    case .null: text += "null"
    case .bool(let value): text += value ? "true" : "false"
    case .int(let value): text += String(value)
    // JSON has no NaN and no infinities.
    case .double(let value): text += value.isFinite ? value.description : "null"
    case .string(let value): JSON.write(value, to: &text)
    case .array(let elements):
      text += "["
      for (index, element) in elements.enumerated() {
        if index > 0 { text += indentation == nil ? "," : ", " }
        element.write(to: &text, indentation: indentation)
      }
      text += "]"
    case .object(let members):
      let inner = indentation.map { $0 + 2 }
      text += "{"
      for (index, member) in members.enumerated() {
        if index > 0 { text += "," }
        if let inner { text += "\n" + String(repeating: " ", count: inner) }
        JSON.write(member.name, to: &text)
        text += inner == nil ? ":" : ": "
        member.value.write(to: &text, indentation: inner)
      }
      if let indentation, !members.isEmpty { text += "\n" + String(repeating: " ", count: indentation) }
      text += "}"
    }
  }

  private static func write(_ string: String, to text: inout String) {
    text += "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\r": text += "\\r"
      case "\t": text += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}
