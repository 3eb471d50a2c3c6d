// Raw inflate through zlib, whole or in pieces.

import CZlib

/// The bytes in `range` of what a raw deflate stream (RFC 1951) holds.
///
/// - Parameter isPrefix: whether it does not matter what follows these bytes.
/// - Throws: `.malformed` when the stream is damaged or, unless `isPrefix`, does not end with `range`.
func inflate(
  _ compressed: Bytes, _ range: Range<Int>, isPrefix: Bool = false
) throws(CheckpointError) -> Bytes {
  let passedOver = UnsafeMutableRawBufferPointer.allocate(
    byteCount: min(range.lowerBound, pieceSize), alignment: 64)
  defer { unsafe passedOver.deallocate() }
  return try unsafe Bytes(count: range.count) { target throws(CheckpointError) in
    try unsafe inflate(compressed, size: range.upperBound, isPrefix: isPrefix) { position in
      guard position >= range.lowerBound else {
        return unsafe UnsafeMutableRawBufferPointer(
          rebasing: passedOver.prefix(range.lowerBound - position))
      }
      return unsafe UnsafeMutableRawBufferPointer(rebasing: target[(position - range.lowerBound)...])
    }
  }
}

/// The CRC-32 of what a raw deflate stream holds, which is kept nowhere.
///
/// - Throws: `.malformed` when the stream is damaged or does not give exactly `size` bytes.
func inflatedChecksum(_ compressed: Bytes, size: Int) throws(CheckpointError) -> UInt32 {
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceSize, alignment: 64)
  defer { unsafe buffer.deallocate() }
  var checksum: UInt32 = 0
  try unsafe inflate(compressed, size: size, room: { _ in unsafe buffer }) { piece in
    unsafe checksum = crc32(piece, continuing: checksum)
  }
  return checksum
}

/// Large enough for zlib's fastest loop, small enough for the cache that a core has of its own.
private let pieceSize = 1 << 17

/// Inflates `size` bytes in pieces.
///
/// - Parameters:
///   - room: memory for what comes at this position, as many bytes as the caller likes.
///   - piece: called with the bytes that were written there.
private func inflate(
  _ compressed: Bytes, size: Int, isPrefix: Bool = false,
  room: (_ position: Int) -> UnsafeMutableRawBufferPointer,
  piece: (UnsafeRawBufferPointer) -> Void = { _ in }
) throws(CheckpointError) {
  var stream = unsafe z_stream()
  let rawDeflate = -MAX_WBITS
  guard
    unsafe inflateInit2_(&stream, rawDeflate, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK
  else { throw CheckpointError(.malformed, "zlib can't be set up.") }
  defer { unsafe _ = inflateEnd(&stream) }

  try unsafe compressed.withUnsafeBytes { source throws(CheckpointError) in
    var consumed = 0
    var produced = 0
    // zlib counts with 32 bits: hand it at most 1 GiB of each at a time.
    let window = 1 << 30
    while !(isPrefix && produced == size) {
      let input = min(source.count - consumed, window)
      unsafe stream.next_in = UnsafeMutablePointer(
        mutating: source.bindMemory(to: UInt8.self).baseAddress.map { unsafe $0 + consumed })
      unsafe stream.avail_in = UInt32(input)
      let target = unsafe room(produced)
      let output = min(target.count, size - produced, window)
      // zlib wants an address to write to, even when nothing is left to write.
      var nothing: UInt8 = 0
      let status = unsafe withUnsafeMutablePointer(to: &nothing) { nothing in
        unsafe stream.next_out =
          output == 0 ? nothing : target.bindMemory(to: UInt8.self).baseAddress
        unsafe stream.avail_out = output == 0 ? 1 : UInt32(output)
        return unsafe CZlib.inflate(&stream, Z_NO_FLUSH)
      }
      if output == 0, unsafe stream.avail_out == 0 {
        throw CheckpointError(.malformed, "inflates to more than the \(size) bytes it declares.")
      }
      consumed += input - Int(unsafe stream.avail_in)
      if output > 0 {
        let written = output - Int(unsafe stream.avail_out)
        unsafe piece(UnsafeRawBufferPointer(rebasing: target[..<written]))
        produced += written
      }
      if status == Z_STREAM_END { break }
      guard status == Z_OK, consumed < source.count || produced < size else {
        throw CheckpointError(.malformed, "holds damaged deflate data. Get the file again.")
      }
    }
    guard produced == size, isPrefix || consumed == source.count else {
      throw CheckpointError(
        .malformed, "inflates to \(produced) bytes where \(size) are declared. Get the file again.")
    }
  }
}
