// Small pictures for the report: 8 bits for each of red, green and blue, or for the colours of a palette, as a PNG
// inside a `data:` address.
//
// Layout (https://www.w3.org/TR/png-3): a signature, then chunks of [length: 4][type: 4][data][CRC-32 of type and data: 4],
// big-endian: IHDR (size and kind), PLTE (the palette), IDAT (zlib of all rows, each after the number of its filter:
// 0 for none), IEND.

import CZlib
import Checkpoints

/// A picture of few pixels.
struct PNG {
  /// What the bytes of a pixel are.
  enum Colors {
    /// Red, green and blue.
    case rgb
    /// A place in a palette of at most 256 colours.
    case palette([RGB])
  }

  struct RGB: Equatable {
    let red: UInt8, green: UInt8, blue: UInt8
  }

  let width: Int, height: Int
  let colors: Colors
  /// Row by row, from the top.
  let pixels: [UInt8]

  /// The picture as an address that holds it.
  var dataAddress: HTML { HTML(trusted: "data:image/png;base64," + Base64.text(bytes)) }

  var bytes: [UInt8] {
    var file: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
    let (bitDepth, trueColor, indexed): (UInt8, UInt8, UInt8) = (8, 2, 3)
    var isIndexed = false
    var colorTable: [UInt8] = []
    if case .palette(let colors) = colors {
      isIndexed = true
      colorTable = colors.flatMap { [$0.red, $0.green, $0.blue] }
    }
    let rest: [UInt8] = [bitDepth, isIndexed ? indexed : trueColor, 0, 0, 0]
    file += PNG.chunk("IHDR", PNG.bigEndian(width) + PNG.bigEndian(height) + rest)
    if isIndexed { file += PNG.chunk("PLTE", colorTable) }
    let rowSize = width * (isIndexed ? 1 : 3)
    var rows: [UInt8] = []
    rows.reserveCapacity(height * (rowSize + 1))
    for row in 0..<height {
      rows.append(0)
      rows += pixels[row * rowSize..<(row + 1) * rowSize]
    }
    return file + PNG.chunk("IDAT", PNG.deflated(rows)) + PNG.chunk("IEND", [])
  }

  private static func chunk(_ type: StaticString, _ data: [UInt8]) -> [UInt8] {
    let content = Array(type.description.utf8) + data
    return bigEndian(data.count) + content + bigEndian(Int(crc32(Bytes(content))))
  }

  private static func bigEndian(_ value: Int) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
  }

  private static func deflated(_ bytes: [UInt8]) -> [UInt8] {
    var count = compressBound(uLong(bytes.count))
    let compressed = [UInt8](unsafeUninitializedCapacity: Int(count)) { target, used in
      let isDone =
        compress2(target.baseAddress, &count, bytes, uLong(bytes.count), Z_BEST_COMPRESSION) == Z_OK
      used = isDone ? Int(count) : 0
    }
    return compressed
  }
}

/// RFC 4648, section 4.
enum Base64 {
  private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func text(_ bytes: [UInt8]) -> String {
    var result: [UInt8] = []
    result.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      var bits = 0
      for byte in group { bits = bits << 8 | Int(byte) }
      bits <<= 8 * (3 - group.count)
      for place in 0..<4 {
        result.append(
          place <= group.count ? digits[bits >> (18 - 6 * place) & 0x3F] : UInt8(ascii: "="))
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
