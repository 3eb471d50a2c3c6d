// Messages have the bytes that the specification of protocol buffers gives them.

import Checkpoints
import NN
import Testing

@Suite struct ProtobufTests {
  private func bytes(_ fill: (inout ProtobufMessage) -> Void) -> [UInt8] {
    var message = ProtobufMessage()
    fill(&message)
    let bytes = message.parts.flatMap(\.bytes)
    #expect(bytes.count == message.byteCount)
    return bytes
  }

  @Test(
    arguments: [
      (0, [0]), (1, [1]), (127, [0x7F]), (128, [0x80, 1]), (150, [0x96, 1]), (300, [0xAC, 2]),
      (16_384, [0x80, 0x80, 1]), (-1, [UInt8](repeating: 0xFF, count: 9) + [1]),
      (-2, [0xFE] + [UInt8](repeating: 0xFF, count: 8) + [1]),
      (.max, [UInt8](repeating: 0xFF, count: 8) + [0x7F]),
      (.min, [UInt8](repeating: 0x80, count: 9) + [1]),
    ] as [(Int, [UInt8])])
  func wholeNumbersAreVarints(_ number: Int, _ expected: [UInt8]) {
    #expect(bytes { $0.append(1, number) } == [0x08] + expected)
    // A field number above 15 takes two bytes.
    #expect(bytes { $0.append(20, number) } == [0xA0, 0x01] + expected)
    #expect(bytes { $0.append(1, [number, 3]) } == [0x0A, UInt8(expected.count + 1)] + expected + [3])
  }

  @Test func numbersOfSinglePrecisionAreFourBytes() {
    #expect(bytes { $0.append(2, Float(1.5)) } == [0x15, 0, 0, 0xC0, 0x3F])
  }

  @Test func textHasItsLengthInUTF8() {
    #expect(bytes { $0.append(2, "testing") } == [0x12, 7] + Array("testing".utf8))
    #expect(bytes { $0.append(2, "é") } == [0x12, 2, 0xC3, 0xA9])
    #expect(bytes { $0.append(2, "") } == [0x12, 0])
    let long = String(repeating: "x", count: 200)
    #expect(bytes { $0.append(2, long) } == [0x12, 0xC8, 1] + Array(long.utf8))
  }

  @Test func listsMayBeEmpty() {
    #expect(bytes { $0.append(1, [Int]()) } == [0x0A, 0])
  }

  @Test func messagesHaveTheirLengthInMessages() {
    var inner = ProtobufMessage()
    inner.append(1, 150)
    #expect(bytes { $0.append(3, inner) } == [0x1A, 3, 0x08, 0x96, 1])
    #expect(bytes { $0.append(3, ProtobufMessage()) } == [0x1A, 0])
  }

  @Test func tensorsCountButAreNotCopied() throws {
    let tensor = try Tensor(shape: [40], [Float](repeating: 1, count: 40))
    var inner = ProtobufMessage()
    inner.append(9, ("weight", tensor))
    inner.append(8, "weight")
    var outer = ProtobufMessage()
    outer.append(5, inner)
    outer.append(5, inner)
    #expect(inner.byteCount == 3 + 160 + 8)
    #expect(outer.byteCount == 2 * (3 + inner.byteCount))
    let first: [UInt8] = [0x2A, 0xAB, 1, 0x4A, 0xA0, 1]
    #expect(
      outer.parts.map(\.bytes) == [
        first, [0x42, 6] + Array("weight".utf8) + first, [0x42, 6] + Array("weight".utf8),
      ])
    #expect(outer.parts.map { $0.tensor?.name } == ["weight", "weight", nil])
  }
}
