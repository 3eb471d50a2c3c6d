// What a dict's key is called in the path of a tensor: text as it is, all else as Python's `str`
// writes it, so that the names are those that Python's users know. Of keys that are objects the pickle
// knows the arguments only, so an enum's member `Color.RED` is called `Color(1)`.

extension TensorBuilder {
  /// The name of a key, made once.
  func name(ofKey key: PickleValue) throws(CheckpointError) -> String {
    guard case .node(let reference) = key else { return constant(key) }
    if case .string(let text) = heap[reference] { return text }
    if let known = keyNames[reference] { return known }
    var parts = TensorBuilder.mostKeyParts
    let name = text(key) ?? representation(key, depth: 0, &parts)
    // Keys may share the long text that they are made of.
    try charge(name.utf8.count)
    keyNames[reference] = name
    return name
  }

  /// A key as Python's `repr` writes it, for messages that tell two keys apart.
  func keyDescription(_ key: PickleValue) throws(CheckpointError) -> String {
    if let text = heap.string(key) { return quoted(text) }
    guard case .object(let object)? = heap.node(key) else { return try name(ofKey: key) }
    return "\(pickle.className(object) ?? "object") \(printable(try name(ofKey: key)))"
  }

  /// How deep a key's tuples may be, how many parts they may have in all, and how many bytes a text in
  /// them, before they are cut short.
  private static let deepestKey = 4
  private static let mostKeyParts = 64
  private static let longestKeyText = 1024

  private func constant(_ value: PickleValue) -> String {
    switch value {
    case .none, .node: "None"
    case .bool(let bool): bool ? "True" : "False"
    case .int(let int): String(int)
    case .float(let float): "\(float)"
    }
  }

  /// Python's `repr` of what keys are; `parts` says how many parts may still come.
  private func representation(_ value: PickleValue, depth: Int, _ parts: inout Int) -> String {
    parts -= 1
    guard case .node(let reference) = value else { return constant(value) }
    if case .string(let text) = heap[reference] { return quotedByPython(text) }
    if let bytes = bytes(value) { return "b" + quotedByPython(bytes) }
    guard depth < TensorBuilder.deepestKey, parts > 0 else { return "…" }
    switch heap[reference] {
    case .tuple(let elements):
      guard let inner = list(elements, depth, &parts) else { return "…" }
      return "(" + inner + (elements.count == 1 ? ",)" : ")")
    case .set(let elements): return frozenSet(elements, depth, &parts)
    case .bigInteger(let bytes): return decimal(bytes)
    case .global(let index): return heap.globals[index].fullName
    case .object(let object): return text(value) ?? self.object(object, depth, &parts)
    default: return "…"
    }
  }

  private func list(_ elements: [PickleValue], _ depth: Int, _ parts: inout Int) -> String? {
    guard elements.count <= parts else { return nil }
    return elements.map { representation($0, depth: depth + 1, &parts) }.joined(separator: ", ")
  }

  private func frozenSet(_ elements: [PickleValue], _ depth: Int, _ parts: inout Int) -> String {
    if elements.isEmpty { return "frozenset()" }
    return "frozenset({" + (list(elements, depth, &parts) ?? "…") + "})"
  }

  // MARK: Objects

  /// `Class(arguments, attribute=value)`
  private func object(_ object: PickleObject, _ depth: Int, _ parts: inout Int) -> String {
    let fullName = pickle.className(object) ?? "object"
    let name = fullName.split(separator: ".").last.map(String.init) ?? fullName
    var arguments = object.arguments[...]
    if pickle.known(object.callable) == .reconstructor {
      arguments = []
    } else if pickle.isReconstruction(object) {
      arguments = arguments.dropFirst()
    }
    if fullName.hasSuffix(".frozenset"), let elements = arguments.first.flatMap(heap.sequence) {
      return frozenSet(elements, depth, &parts)
    }
    let attributes = pickle.attributes(object)
    if arguments.isEmpty, attributes.isEmpty { return "<" + fullName + ">" }
    guard arguments.count + attributes.count <= parts else { return name + "(…)" }
    var values = arguments.map { representation($0, depth: depth + 1, &parts) }
    for (key, value) in attributes {
      values.append((heap.string(key) ?? "…") + "=" + representation(value, depth: depth + 1, &parts))
    }
    return name + "(" + values.joined(separator: ", ") + ")"
  }

  /// Python's `str` of the objects that it writes in a way of their own.
  private func text(_ key: PickleValue) -> String? {
    guard case .object(let object)? = heap.node(key), let name = pickle.name(object.callable) else {
      return nil
    }
    switch name {
    case _ where pickle.known(object.callable) == .array(.scalar): return number(key)
    case "torch.device":
      return object.arguments.map { heap.string($0) ?? constant($0) }.joined(separator: ":")
    case "datetime.date", "datetime.datetime": return date(object)
    case "builtins.getattr", "__builtin__.getattr":
      guard object.arguments.count == 2, let attribute = heap.string(object.arguments[1]),
        let owner = heap.globalName(object.arguments[0])?.split(separator: ".").last
      else { return nil }
      return owner + "." + attribute
    case _ where name.hasPrefix("pathlib.") && !object.arguments.isEmpty:
      let parts = object.arguments.compactMap(heap.string)
      guard parts.count == object.arguments.count else { return nil }
      let separator = name.hasSuffix("WindowsPath") ? "\\" : "/"
      return parts[0].hasSuffix(separator)
        ? parts[0] + parts.dropFirst().joined(separator: separator) : parts.joined(separator: separator)
    default: return nil
    }
  }

  /// A scalar of NumPy's.
  private func number(_ key: PickleValue) -> String? {
    guard let scalar = try? tensor(key), scalar.shape.isEmpty, let bytes = try? scalar.contiguousBytes()
    else {
      return nil
    }
    switch scalar.dtype {
    case .bool: return bytes.array.first == 0 ? "False" : "True"
    case .int8: return bytes.load(Int8.self, at: 0).map { String($0) }
    case .int16: return bytes.load(Int16.self, at: 0).map { String($0) }
    case .int32: return bytes.load(Int32.self, at: 0).map { String($0) }
    case .int64: return bytes.load(Int64.self, at: 0).map { String($0) }
    case .uint8: return bytes.load(UInt8.self, at: 0).map { String($0) }
    case .uint16: return bytes.load(UInt16.self, at: 0).map { String($0) }
    case .uint32: return bytes.load(UInt32.self, at: 0).map { String($0) }
    case .uint64: return bytes.load(UInt64.self, at: 0).map { String($0) }
    case .float64: return (try? scalar.doubles()).map { "\($0[0])" }
    case .float32: return (try? scalar.floats()).map { "\($0[0])" }
    default: return nil
    }
  }

  /// Year, month, day and, of a time, hour, minute, second and microsecond, big-endian.
  private func date(_ object: PickleObject) -> String? {
    // A time zone may follow.
    guard object.arguments.count == 1, let fields = bytes(object.arguments[0])?.array,
      fields.count == 4 || fields.count == 10
    else { return nil }
    let digits = { (value: Int, count: Int) in
      String(repeating: "0", count: max(0, count - String(value).count)) + String(value)
    }
    let date =
      digits(Int(fields[0]) << 8 | Int(fields[1]), 4)
      + fields[2..<4].map { "-" + digits(Int($0), 2) }.joined()
    guard fields.count == 10 else { return date }
    let microseconds = fields[7...].reduce(0) { $0 << 8 | Int($1) }
    return date + " " + fields[4..<7].map { digits(Int($0), 2) }.joined(separator: ":")
      + (microseconds > 0 ? "." + digits(microseconds, 6) : "")
  }

  // MARK: Text

  private func quotedByPython(_ text: String) -> String {
    let isCut = text.utf8.count > TensorBuilder.longestKeyText
    let scalars = isCut ? text.unicodeScalars.prefix(TensorBuilder.longestKeyText) : text.unicodeScalars[...]
    let quote = scalars.contains("'") && !scalars.contains("\"") ? "\"" : "'" as Unicode.Scalar
    var result = String.UnicodeScalarView([quote])
    for scalar in scalars {
      result.append(contentsOf: escaped(scalar, isPrintable(scalar), quote).unicodeScalars)
    }
    result.append(quote)
    return String(result) + (isCut ? "…" : "")
  }

  private func quotedByPython(_ bytes: Bytes) -> String {
    let isCut = bytes.count > TensorBuilder.longestKeyText
    let bytes = (bytes.slice(0, min(bytes.count, TensorBuilder.longestKeyText)) ?? bytes).array
    let quote =
      bytes.contains(UInt8(ascii: "'")) && !bytes.contains(UInt8(ascii: "\"")) ? "\"" : "'" as Unicode.Scalar
    let inner = bytes.map { escaped(Unicode.Scalar($0), (0x20..<0x7F).contains($0), quote) }.joined()
    return "\(quote)\(inner)\(quote)" + (isCut ? "…" : "")
  }

  private func escaped(_ scalar: Unicode.Scalar, _ isPrintable: Bool, _ quote: Unicode.Scalar) -> String {
    switch scalar {
    case quote, "\\": return "\\\(scalar)"
    case "\n": return "\\n"
    case "\r": return "\\r"
    case "\t": return "\\t"
    case _ where isPrintable: return String(Character(scalar))
    default:
      let digits = String(scalar.value, radix: 16)
      let (letter, count) = scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
      return "\\" + letter + String(repeating: "0", count: count - digits.count) + digits
    }
  }

  /// What Python's `str.isprintable` says.
  private func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return (0x20..<0x7F).contains(scalar.value) }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
      .spaceSeparator:
      return false
    default: return true
    }
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
