// HTML as a type of its own: whatever is interpolated into it is escaped, unless it is HTML already. Names, metadata
// and errors come from files that anybody may have written.

import Checkpoints

/// A piece of HTML or SVG.
///
/// ```swift
/// let cell: HTML = "<td>\(tensorName)</td>"
/// ```
struct HTML: ExpressibleByStringInterpolation, Sendable {
  let text: String

  /// Text that is HTML already.
  init(trusted text: String) { self.text = text }

  init(stringLiteral text: String) { self.text = text }

  init(stringInterpolation interpolation: Interpolation) { text = interpolation.text }

  struct Interpolation: StringInterpolationProtocol {
    fileprivate var text = ""

    init(literalCapacity: Int, interpolationCount: Int) {
      text.reserveCapacity(literalCapacity + 16 * interpolationCount)
    }

    mutating func appendLiteral(_ literal: String) { text += literal }
    mutating func appendInterpolation(_ value: String) { text += HTML.escaped(value) }
    mutating func appendInterpolation(_ value: Int) { text += String(value) }
    mutating func appendInterpolation(_ html: HTML) { text += html.text }
    mutating func appendInterpolation(_ parts: [HTML]) { for part in parts { text += part.text } }

    /// A coordinate: at most two digits behind the point, and no zeros at the end.
    mutating func appendInterpolation(_ value: Double) {
      var digits = fixed(value, 2)[...]
      while digits.last == "0" { digits.removeLast() }
      if digits.last == "." { digits.removeLast() }
      text += digits
    }
  }

  /// `text` for element content and quoted attributes. Control characters and those that reorder lines are shown as
  /// what they are.
  private static func escaped(_ text: String) -> String {
    let text = printable(text, longest: .max)
    guard text.utf8.contains(where: { isSpecial($0) }) else { return text }
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }

  private static func isSpecial(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "&"), UInt8(ascii: "<"), UInt8(ascii: ">"), UInt8(ascii: "\""), UInt8(ascii: "'"): true
    default: false
    }
  }
}

extension [Int] {
  /// `[3, 224, 224]` as `3 × 224 × 224`, which stays in one line.
  var productText: String { map(String.init).joined(separator: "\u{A0}×\u{A0}") }
}
