// How a camera was held. Exif 2.32, tag 0x0112: where the first row and the first column of the stored image belong.
//
//   JPEG   segment APP1: "Exif\0\0", then TIFF
//   PNG    chunk eXIf: TIFF
//   TIFF   "II*\0" or "MM\0*", the offset of a directory; that is the number of its entries, and each is
//          tag: 16 bits, type: 16, count: 32, value: 32

import Checkpoints

/// Which of the eight ways an image lies in its file.
struct Orientation: Equatable {
  /// Whether rows are shown as columns.
  var isTransposed = false
  /// Whether the image as shown runs against the stored one from left to right.
  var reversesX = false
  /// Whether the image as shown runs against the stored one from top to bottom.
  var reversesY = false

  /// From Exif's number; nil when there is no such orientation.
  init?(exif number: Int) {
    guard (1...8).contains(number) else { return nil }
    isTransposed = number >= 5
    reversesX = [2, 3, 6, 7].contains(number)
    reversesY = [3, 4, 7, 8].contains(number)
  }

  /// What the file says; upright where it says nothing that can be understood, as Pillow has it.
  init(of bytes: Bytes, _ format: ImageFile.Format) {
    let tiff = format == .jpeg ? Orientation.exifOfJPEG(bytes) : Orientation.exifOfPNG(bytes)
    let number = tiff.flatMap { Orientation.number(inTIFF: $0) } ?? 1
    self = Orientation(exif: number) ?? Orientation()
  }

  private init() {}

  private static func exifOfJPEG(_ bytes: Bytes) -> Bytes? {
    var position = 2
    // A segment is a marker, of which the first byte may be repeated, and a length that counts itself.
    while let marker = bytes.load(UInt16.self, at: position)?.bigEndian, marker >= 0xFF01 {
      if marker == 0xFFFF {
        position += 1
        continue
      }
      guard let length = bytes.load(UInt16.self, at: position + 2)?.bigEndian, length >= 2,
        marker != 0xFFDA, marker != 0xFFD9
      else { return nil }
      if marker == 0xFFE1, let segment = bytes.slice(position + 4, Int(length) - 2), segment.count > 6,
        segment.slice(0, 6)?.array == Array("Exif\0\0".utf8)
      {
        return segment.slice(6, segment.count - 6)
      }
      position += 2 + Int(length)
    }
    return nil
  }

  private static func exifOfPNG(_ bytes: Bytes) -> Bytes? {
    var position = 8
    // A chunk is its length, its type, its content and a checksum.
    while let length = bytes.load(UInt32.self, at: position)?.bigEndian,
      let type = bytes.load(UInt32.self, at: position + 4)?.bigEndian
    {
      if type == 0x6558_4966 { return bytes.slice(position + 8, Int(length)) }
      position += 12 + Int(length)
    }
    return nil
  }

  private static func number(inTIFF tiff: Bytes) -> Int? {
    let order = tiff.slice(0, 4)?.array
    let isBig = order == Array("MM\0*".utf8)
    guard isBig || order == Array("II*\0".utf8) else { return nil }
    func load<T: FixedWidthInteger>(_ type: T.Type, _ offset: Int) -> Int? {
      tiff.load(type, at: offset).map { Int(isBig ? $0.bigEndian : $0) }
    }
    guard let directory = load(UInt32.self, 4), let count = load(UInt16.self, directory) else { return nil }
    for entry in 0..<count {
      let place = directory + 2 + entry * 12
      guard let tag = load(UInt16.self, place), let type = load(UInt16.self, place + 2) else { return nil }
      guard tag == 0x0112 else { continue }
      switch type {
      case 1: return load(UInt8.self, place + 8)
      case 3: return load(UInt16.self, place + 8)
      case 4: return load(UInt32.self, place + 8)
      default: return nil
      }
    }
    return nil
  }
}
