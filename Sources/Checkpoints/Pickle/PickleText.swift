// The two textual spellings of protocol 0: quoted strings with Python's escapes, and
// raw-unicode-escape.

enum PickleText {
  /// STRING: `'…'` or `"…"` with backslash escapes, as Python's repr writes bytes. Nil when the
  /// quotes are missing or an escape is broken.
  static func unquoted(_ line: Bytes) -> Bytes? {
    let text = line.array
    guard text.count >= 2, let quote = text.first, quote == text.last, quote == 0x22 || quote == 0x27 else {
      return nil
    }
    var result: [UInt8] = []
    var rest = text.dropFirst().dropLast()
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "\\") else {
        result.append(byte)
        continue
      }
      guard let escaped = rest.popFirst() else { return nil }
      switch escaped {
      case UInt8(ascii: "n"): result.append(0x0A)
      case UInt8(ascii: "t"): result.append(0x09)
      case UInt8(ascii: "r"): result.append(0x0D)
      case UInt8(ascii: "x"):
        guard let value = hexadecimal(rest.prefix(2), digits: 2) else { return nil }
        result.append(UInt8(truncatingIfNeeded: value))
        rest.removeFirst(2)
      case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): result.append(escaped)
      default: result += [byte, escaped]
      }
    }
    return Bytes(result)
  }

  /// UNICODE: each byte is a character of Latin-1, but `\uXXXX` and `\UXXXXXXXX` name code points.
  static func unescapedUnicode(_ line: Bytes) -> String {
    var result = String.UnicodeScalarView()
    var rest = line.array[...]
    while let byte = rest.popFirst() {
      let digits =
        byte == UInt8(ascii: "\\")
        ? (rest.first == UInt8(ascii: "u") ? 4 : rest.first == UInt8(ascii: "U") ? 8 : 0) : 0
      if digits > 0, let value = hexadecimal(rest.dropFirst().prefix(digits), digits: digits) {
        rest.removeFirst(1 + digits)
        result.append(Unicode.Scalar(value) ?? "\u{FFFD}")
      } else {
        result.append(Unicode.Scalar(byte))
      }
    }
    return String(result)
  }

  private static func hexadecimal(_ digits: ArraySlice<UInt8>, digits count: Int) -> UInt32? {
    guard digits.count == count else { return nil }
    return UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
  }
}
