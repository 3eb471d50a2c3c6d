// An image file: recognised by its bytes, its header read, its pixels decoded row by row.
//
// What a file may cost is settled before anything is decoded: by its width and height, and by how many bytes an image of
// that size has to have at least.

import CImages
public import Checkpoints

/// A JPEG or PNG file whose header has been read.
///
/// ```swift
/// let image = try ImageFile(path: "cat.jpg")
/// print(image.width, image.height)        // as it is shown, the camera's rotation applied
/// ```
public struct ImageFile: Sendable {
  /// The format of a file.
  public enum Format: String, Sendable {
    /// Baseline or progressive.
    case jpeg = "JPEG"
    /// Of any kind that PNG has.
    case png = "PNG"
  }

  /// An image with more pixels is refused, as Pillow refuses it: 2 · ⌊2³⁰ / 12⌋.
  public static let mostPixels = 178_956_970

  /// What is held of an image while it is decoded, in bytes; only progressive and interlaced ones are held whole.
  private static let mostMemory = 1 << 30

  /// The format, recognised by content.
  public let format: Format
  /// Pixels from left to right, as the image is shown.
  public var width: Int { orientation.isTransposed ? storedHeight : storedWidth }
  /// Pixels from top to bottom, as the image is shown.
  public var height: Int { orientation.isTransposed ? storedWidth : storedHeight }

  /// How the image lies in the file.
  let orientation: Orientation
  let storedWidth: Int
  let storedHeight: Int
  private let bytes: Bytes
  /// Where it was opened, for errors.
  private var path: String?

  /// Opens the file at `path`.
  ///
  /// - Throws: `.cannotRead`, or as ``init(_:)``.
  public init(path: String) throws(CheckpointError) {
    let bytes = try Bytes(mapping: path)
    do throws(CheckpointError) {
      try self.init(bytes)
      self.path = path
    } catch {
      throw error.inFile(path)
    }
  }

  /// Reads the header of an image file.
  ///
  /// - Throws: `.unsupported` for other files and rarer kinds of images, `.limitExceeded` for one of more than
  ///   ``mostPixels``, `.truncated` or `.malformed`.
  public init(_ bytes: Bytes) throws(CheckpointError) {
    format = try Format(of: bytes)
    self.bytes = bytes
    var header = image_header()
    try Decoder.withDecoder(of: bytes, format) { decoder, found throws(CheckpointError) in header = found }
    (storedWidth, storedHeight) = (Int(header.width), Int(header.height))
    let (pixels, overflow) = storedWidth.multipliedReportingOverflow(by: storedHeight)
    guard pixels > 0 else {
      throw CheckpointError(.malformed, "is an image of \(storedWidth)×\(storedHeight) pixels.")
    }
    guard !overflow, pixels <= ImageFile.mostPixels else {
      throw CheckpointError(
        .limitExceeded,
        "is an image of \(storedWidth)×\(storedHeight) pixels; at most \(ImageFile.mostPixels) are read.")
    }
    guard header.smallest_file <= bytes.count else {
      throw CheckpointError(
        .truncated,
        "is cut short: \(bytes.count) bytes can't hold the \(storedWidth)×\(storedHeight) pixels that it is to have. Get it again."
      )
    }
    guard header.memory <= ImageFile.mostMemory else {
      throw CheckpointError(
        .limitExceeded,
        "takes \(header.memory) bytes to decode; at most \(ImageFile.mostMemory) are used. Save it as a baseline JPEG or without interlacing."
      )
    }
    orientation = Orientation(of: bytes, format)
  }

  /// Decodes some of the stored rows, in order; more columns than those asked for may be there.
  ///
  /// - Parameters:
  ///   - columns: the columns that are needed.
  ///   - rows: the rows that are needed.
  ///   - body: is called with each row at its first needed column: four bytes a pixel, red, green, blue and another one.
  /// - Throws: `.truncated` when the file ends before its image does, wherever that is, `.malformed` when it can't be decoded.
  func forEachRow(
    columns: Range<Int>, rows: Range<Int>, _ body: (_ row: UnsafePointer<UInt8>) -> Void
  ) throws(CheckpointError) {
    precondition(
      columns.upperBound <= storedWidth && rows.upperBound <= storedHeight && !columns.isEmpty
        && !rows.isEmpty)
    do throws(CheckpointError) {
      try decode(columns: columns, rows: rows, body)
    } catch {
      throw path.map { error.inFile($0) } ?? error
    }
  }

  private func decode(
    columns: Range<Int>, rows: Range<Int>, _ body: (_ row: UnsafePointer<UInt8>) -> Void
  ) throws(CheckpointError) {
    try Decoder.withDecoder(of: bytes, format) { decoder, _ throws(CheckpointError) in
      var first = UInt32(columns.lowerBound)
      try decoder.start(row: UInt32(rows.lowerBound), column: &first, columns: UInt32(columns.count))
      let begin = (columns.lowerBound - Int(first)) * 4
      // A PNG file is read to its end: a JPEG file can be left where nothing more is needed.
      for row
        in (decoder.skipsRows ? rows.lowerBound : 0)..<(decoder.skipsRows ? rows.upperBound : storedHeight)
      {
        let pixels = try decoder.next()
        if rows.contains(row) { body(pixels + begin) }
      }
      try decoder.end()
    }
  }
}

extension ImageFile.Format {
  /// What the file is by its first bytes.
  fileprivate init(of bytes: Bytes) throws(CheckpointError) {
    let start = bytes.slice(0, min(bytes.count, 16))?.array ?? []
    if start.starts(with: [0xFF, 0xD8, 0xFF]) {
      self = .jpeg
    } else if start.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
      self = .png
    } else {
      if start.starts(with: "version https://".utf8) {
        throw CheckpointError(
          .unsupported, "is a Git LFS pointer, not the image itself: fetch it with 'git lfs pull'.")
      }
      let kind = ImageFile.Format.kind(start)
      throw CheckpointError(
        .unsupported,
        "is no JPEG or PNG image, but \(kind)." + (bytes.count == 0 ? "" : " Convert it, or leave it out."))
    }
  }

  /// What else it may be, in a few words.
  private static func kind(_ start: [UInt8]) -> String {
    if start.isEmpty { return "empty" }
    let text = String(decoding: start, as: UTF8.self)
    let trimmed = text.drop { $0.isWhitespace }.lowercased()
    if trimmed.hasPrefix("<!doctype") || trimmed.hasPrefix("<html") { return "an HTML page" }
    let kinds: [(String, String)] = [
      ("GIF8", "a GIF image"), ("BM", "a BMP image"), ("II*\0", "a TIFF image"), ("MM\0*", "a TIFF image"),
      ("<svg", "an SVG drawing"), ("<?xml", "XML"), ("%PDF", "a PDF document"), ("PK", "a zip archive"),
    ]
    if let kind = kinds.first(where: { text.hasPrefix($0.0) }) { return kind.1 }
    let boxes = start.dropFirst(4)
    if start.starts(with: "RIFF".utf8), start.dropFirst(8).starts(with: "WEBP".utf8) { return "a WebP image" }
    if boxes.starts(with: "ftypavif".utf8) { return "an AVIF image" }
    if ["ftyphei", "ftyphev", "ftypmif"].contains(where: { boxes.starts(with: $0.utf8) }) {
      return "a HEIF image"
    }
    return "something else"
  }
}
