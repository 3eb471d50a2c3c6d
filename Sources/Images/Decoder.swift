// The decoders of CImages behind one interface. All unsafe handling of their readers is here: a reader lives during one
// call, and so do the bytes that it reads.

import CImages
import Checkpoints

/// A decoder at work on one file.
struct Decoder {
  private let reader: OpaquePointer
  private let format: ImageFile.Format

  /// Calls `body` with a decoder that has read the file's header.
  static func withDecoder(
    of bytes: Bytes, _ format: ImageFile.Format,
    _ body: (Decoder, image_header) throws(CheckpointError) -> Void
  ) throws(CheckpointError) {
    try bytes.withUnsafeBytes { source throws(CheckpointError) in
      var (header, status) = (image_header(), image_done)
      let start = source.bindMemory(to: UInt8.self)
      let open = format == .jpeg ? jpeg_reader_open : png_reader_open
      guard let reader = open(start.baseAddress, start.count, &header, &status) else {
        throw noMemory
      }
      let decoder = Decoder(reader: reader, format: format)
      defer { format == .jpeg ? jpeg_reader_close(reader) : png_reader_close(reader) }
      try decoder.check(status)
      try body(decoder, header)
    }
  }

  /// Whether rows that nobody needs may be left out.
  var skipsRows: Bool { format == .jpeg }

  /// Begins with `row`, where rows may be left out, and at least `columns` columns from `column` on, which becomes the first one.
  func start(row: UInt32, column: inout UInt32, columns: UInt32) throws(CheckpointError) {
    switch format {
    case .jpeg: try check(jpeg_reader_start(reader, row, &column, columns))
    case .png:
      column = 0
      try check(png_reader_start(reader))
    }
  }

  /// The next row, valid until the next call.
  func next() throws(CheckpointError) -> UnsafePointer<UInt8> {
    var row: UnsafePointer<UInt8>?
    try check(format == .jpeg ? jpeg_reader_next(reader, &row) : png_reader_next(reader, &row))
    guard let row else { throw Decoder.noMemory }
    return row
  }

  /// Makes sure that nothing is missing behind the last row.
  func end() throws(CheckpointError) {
    if format == .jpeg { try check(jpeg_reader_end(reader)) }
  }

  private func check(_ status: image_status) throws(CheckpointError) {
    let message = String(cString: format == .jpeg ? jpeg_reader_message(reader) : png_reader_message(reader))
    let name = format.rawValue
    switch status {
    case image_done: return
    case image_truncated:
      throw CheckpointError(
        .truncated, "is cut short: the \(name) image goes on beyond the end of the file. Get it again.")
    case image_unsupported:
      throw CheckpointError(
        .unsupported, "is a \(name) image of a kind that is not read: \(printable(message)). Convert it.")
    case image_no_memory: throw Decoder.noMemory
    default:
      throw CheckpointError(.malformed, "is a damaged \(name) image: \(printable(message)). Get it again.")
    }
  }

  private static let noMemory = CheckpointError(.limitExceeded, "needs more memory than there is.")
}
