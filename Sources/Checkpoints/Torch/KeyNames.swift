// What a dict's key is called in the path of a tensor: text as it is, all else as Python's `str`
// writes it, so that the names are those that Python's users know.

extension TorchPickle {
  /// The name of a key.
  func keyName(_ key: PickleValue) -> String {
    if let text = heap.string(key) { return text }
    var parts = TorchPickle.mostKeyParts
    return representation(key, depth: 0, &parts)
  }

  /// How deep a key's tuples may be, and how many parts they may have in all, before they are cut short.
  private static let deepestKey = 4
  private static let mostKeyParts = 64

  /// Python's `repr` of the constants and tuples that keys are; `parts` says how many may still come.
  private func representation(_ value: PickleValue, depth: Int, _ parts: inout Int) -> String {
    parts -= 1
    switch value {
    case .none: return "None"
    case .bool(let bool): return bool ? "True" : "False"
    case .int(let int): return String(int)
    case .float(let float): return "\(float)"
    case .node: break
    }
    if let text = heap.string(value) { return quotedByPython(Array(text.utf8), escapingFrom: nil) }
    if let bytes = bytes(value) { return "b" + quotedByPython(bytes.array, escapingFrom: 0x7F) }
    switch heap.node(value) {
    case .tuple(let elements)? where depth < TorchPickle.deepestKey && elements.count <= parts:
      let inner = elements.map { representation($0, depth: depth + 1, &parts) }.joined(separator: ", ")
      return "(" + inner + (elements.count == 1 ? ",)" : ")")
    case .bigInteger(let bytes)?: return decimal(bytes)
    case .global(let index)?: return heap.globals[index].fullName
    case .object(let object)?: return "<" + (className(object) ?? "object") + ">"
    default: return "…"
    }
  }

  /// In single quotes, unless the text holds these and no double ones; control characters and bytes
  /// from `limit` on as `\\xNN`.
  private func quotedByPython(_ units: [UInt8], escapingFrom limit: UInt8?) -> String {
    let (single, double, backslash) = (UInt8(ascii: "'"), UInt8(ascii: "\""), UInt8(ascii: "\\"))
    let quote = units.contains(single) && !units.contains(double) ? double : single
    var result = [quote]
    for unit in units {
      if unit == quote || unit == backslash {
        result += [backslash, unit]
      } else if unit < 0x20 || limit.map({ unit >= $0 }) ?? false {
        let digits = String(unit, radix: 16)
        result += Array(("\\x" + (digits.count == 1 ? "0" : "") + digits).utf8)
      } else {
        result.append(unit)
      }
    }
    return String(decoding: result + [quote], as: UTF8.self)
  }

  /// The digits of a whole number beyond 64 bits: little-endian two's complement.
  private func decimal(_ bytes: Bytes) -> String {
    guard bytes.count <= 64 else { return "…" }
    var magnitude = bytes.array
    let isNegative = (magnitude.last ?? 0) & 0x80 != 0
    if isNegative {
      var carry = true
      for index in magnitude.indices {
        magnitude[index] = ~magnitude[index] &+ (carry ? 1 : 0)
        carry = carry && magnitude[index] == 0
      }
    }
    var digits: [UInt8] = []
    while magnitude.contains(where: { $0 != 0 }) {
      var remainder = 0
      for index in magnitude.indices.reversed() {
        let value = remainder << 8 | Int(magnitude[index])
        magnitude[index] = UInt8(value / 10)
        remainder = value % 10
      }
      digits.append(UInt8(0x30 + remainder))
    }
    return (isNegative ? "-" : "")
      + (digits.isEmpty ? "0" : String(decoding: digits.reversed(), as: UTF8.self))
  }
}
