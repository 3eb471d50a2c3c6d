// Writes messages in the wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding/), as
// much of it as ONNX needs. A message is a list of fields, each a tag and a value:
//
//   tag = field number << 3 | wire type, as a varint
//   0   a varint: seven bits a byte, the lowest first, with the highest bit set in all but the last
//   2   a length as a varint, then so many bytes: text, a message, packed numbers, raw data
//   5   four bytes
//
// A negative int64 is the varint of its two's complement, ten bytes. Tensors are not copied into a message: it notes
// where they belong, and whoever writes the file puts them there.

package import Checkpoints

/// A message being written.
package struct ProtobufMessage: Sendable {
  /// Some bytes, and the tensor whose elements come behind them, in row-major order.
  package struct Part: Sendable {
    package fileprivate(set) var bytes: [UInt8] = []
    package fileprivate(set) var tensor: StateDict.Element?
  }

  private enum WireType: Int {
    case varint = 0
    case bytes = 2
    case fourBytes = 5
  }

  /// What the message consists of. Only the last part may have no tensor.
  package private(set) var parts: [Part] = []
  /// How many bytes it has.
  package private(set) var byteCount = 0

  /// An empty message.
  package init() {}

  /// A whole number, as int32, int64 or an enumeration.
  package mutating func append(_ field: Int, _ number: Int) {
    append(field, .varint)
    append(varint: number)
  }

  /// A number of single precision.
  package mutating func append(_ field: Int, _ number: Float) {
    append(field, .fourBytes)
    append((0..<4).map { UInt8(truncatingIfNeeded: number.bitPattern >> UInt32(8 * $0)) })
  }

  /// Text, or bytes that are text.
  package mutating func append(_ field: Int, _ text: String) {
    append(field, .bytes)
    append(varint: text.utf8.count)
    append(Array(text.utf8))
  }

  /// Whole numbers, packed.
  package mutating func append(_ field: Int, _ numbers: [Int]) {
    var packed = ProtobufMessage()
    for number in numbers { packed.append(varint: number) }
    append(field, packed)
  }

  /// A message as a field of this one.
  package mutating func append(_ field: Int, _ message: ProtobufMessage) {
    append(field, .bytes)
    append(varint: message.byteCount)
    for part in message.parts {
      append(part.bytes)
      if let tensor = part.tensor { append(tensor) }
    }
  }

  /// The elements of a tensor.
  package mutating func append(_ field: Int, _ tensor: StateDict.Element) {
    append(field, .bytes)
    append(varint: tensor.tensor.byteCount)
    append(tensor)
  }

  private mutating func append(_ field: Int, _ type: WireType) {
    append(varint: field << 3 | type.rawValue)
  }

  private mutating func append(varint number: Int) {
    var bytes: [UInt8] = []
    var rest = UInt64(bitPattern: Int64(number))
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(bytes + [UInt8(rest)])
  }

  private mutating func append(_ bytes: [UInt8]) {
    if parts.isEmpty || parts[parts.count - 1].tensor != nil { parts.append(Part()) }
    parts[parts.count - 1].bytes += bytes
    byteCount += bytes.count
  }

  /// Behind bytes, as a tensor has its tag and length before it.
  private mutating func append(_ tensor: StateDict.Element) {
    parts[parts.count - 1].tensor = tensor
    byteCount += tensor.tensor.byteCount
  }
}
