// Writes pickles of protocol 2, as much of it as a state dict needs, with the opcodes and memo numbers
// that Python's pickler would write: what was written before is referred to.

/// A pickle being written.
struct PickleWriter {
  private(set) var bytes: [UInt8] = [0x80, 2]
  private var nextMemo = 0
  private var texts: [CodeUnitKey: Int] = [:]
  private var globals: [String: Int] = [:]

  mutating func opcode(_ character: Character) { bytes.append(character.asciiValue ?? 0) }

  /// Notes what was written last under the next number, and returns it.
  @discardableResult
  mutating func memoize() -> Int {
    defer { nextMemo += 1 }
    put(nextMemo, short: "q", long: "r")
    return nextMemo
  }

  /// Refers to what was noted under a number.
  mutating func get(_ memo: Int) { put(memo, short: "h", long: "j") }

  private mutating func put(_ number: Int, short: Character, long: Character) {
    if number < 256 {
      opcode(short)
      bytes.append(UInt8(number))
    } else {
      opcode(long)
      append(UInt32(truncatingIfNeeded: number))
    }
  }

  private mutating func append<Number: FixedWidthInteger>(_ number: Number) {
    var numbers = LittleEndian()
    numbers.append(number)
    bytes += numbers.bytes
  }

  mutating func bool(_ value: Bool) { bytes.append(value ? 0x88 : 0x89) }

  mutating func float(_ value: Double) {
    opcode("G")
    append(value.bitPattern.byteSwapped)
  }

  mutating func text(_ text: String) {
    if let memo = texts[CodeUnitKey(text)] { return get(memo) }
    opcode("X")
    append(UInt32(truncatingIfNeeded: text.utf8.count))
    bytes += Array(text.utf8)
    texts[CodeUnitKey(text)] = memoize()
  }

  /// A class or function.
  mutating func global(_ module: String, _ name: String) {
    let key = "\(module)\n\(name)\n"
    if let memo = globals[key] { return get(memo) }
    opcode("c")
    bytes += Array(key.utf8)
    globals[key] = memoize()
  }

  mutating func int(_ number: Int) {
    switch number {
    case 0..<0x100:
      opcode("K")
      bytes.append(UInt8(number))
    case 0..<0x10000:
      opcode("M")
      append(UInt16(number))
    case Int(Int32.min)...Int(Int32.max):
      opcode("J")
      append(Int32(number))
    default:
      // LONG1: as few bytes of two's complement as hold it
      var digits = LittleEndian()
      digits.append(number)
      var count = digits.bytes.count
      while count > 1, digits.bytes[count - 1] == (number < 0 ? 0xFF : 0),
        (digits.bytes[count - 2] & 0x80 != 0) == (number < 0)
      { count -= 1 }
      bytes += [0x8A, UInt8(count)] + digits.bytes[..<count]
    }
  }

  /// A tuple of whole numbers.
  mutating func tuple(_ numbers: [Int]) {
    guard !numbers.isEmpty else { return opcode(")") }
    if numbers.count > 3 { opcode("(") }
    for number in numbers { int(number) }
    endTuple(of: numbers.count)
  }

  /// Makes a tuple of the last values; of more than three, all since the mark.
  mutating func endTuple(of count: Int) {
    switch count {
    case 1: bytes.append(0x85)
    case 2: bytes.append(0x86)
    case 3: bytes.append(0x87)
    default: opcode("t")
    }
    memoize()
  }
}
