// The two things that zlib does for us: CRC-32 and raw inflate.

import CZlib

/// The CRC-32 (as in zip and PNG) of `bytes`.
package func crc32(_ bytes: Bytes) -> UInt32 {
  unsafe bytes.withUnsafeBytes { buffer in
    UInt32(truncatingIfNeeded: unsafe crc32_z(0, buffer.bindMemory(to: UInt8.self).baseAddress, buffer.count))
  }
}

/// Inflates a raw deflate stream (RFC 1951) of known size.
///
/// - Parameter isPrefix: whether `size` bytes from the start are enough, whatever follows.
/// - Throws: `.malformed` when the stream is damaged or does not give exactly `size` bytes.
func inflate(_ compressed: Bytes, size: Int, isPrefix: Bool = false) throws(CheckpointError) -> Bytes {
  var stream = unsafe z_stream()
  let rawDeflate = -MAX_WBITS
  guard
    unsafe inflateInit2_(&stream, rawDeflate, ZLIB_VERSION, CInt(MemoryLayout<z_stream>.size)) == Z_OK
  else { throw CheckpointError(.malformed, "zlib can't be set up.") }
  defer { unsafe _ = inflateEnd(&stream) }

  return try unsafe Bytes(count: size) { target throws(CheckpointError) in
    try unsafe compressed.withUnsafeBytes { source throws(CheckpointError) in
      var consumed = 0
      var produced = 0
      // zlib counts with 32 bits: hand it at most 1 GiB of each at a time.
      let window = 1 << 30
      while !(isPrefix && produced == size) {
        let input = min(source.count - consumed, window)
        let output = min(target.count - produced, window)
        unsafe stream.next_in = UnsafeMutablePointer(
          mutating: source.bindMemory(to: UInt8.self).baseAddress.map { unsafe $0 + consumed })
        unsafe stream.avail_in = UInt32(input)
        // zlib wants an address to write to, even when nothing is left to write.
        var nothing: UInt8 = 0
        let status = unsafe withUnsafeMutablePointer(to: &nothing) { nothing in
          unsafe stream.next_out =
            output == 0 ? nothing : target.bindMemory(to: UInt8.self).baseAddress.map { unsafe $0 + produced }
          unsafe stream.avail_out = output == 0 ? 1 : UInt32(output)
          return unsafe CZlib.inflate(&stream, Z_NO_FLUSH)
        }
        if output == 0, unsafe stream.avail_out == 0 {
          throw CheckpointError(.malformed, "inflates to more than the \(size) bytes it declares.")
        }
        consumed += input - Int(unsafe stream.avail_in)
        if output > 0 { produced += output - Int(unsafe stream.avail_out) }
        if status == Z_STREAM_END { break }
        guard status == Z_OK, consumed < source.count || produced < target.count else {
          throw CheckpointError(.malformed, "holds damaged deflate data. Get the file again.")
        }
      }
      guard produced == size, isPrefix || consumed == source.count else {
        throw CheckpointError(
          .malformed, "inflates to \(produced) bytes where \(size) are declared. Get the file again.")
      }
    }
  }
}
