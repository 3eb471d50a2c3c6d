// Rows of a tensor that are all zeros, such as the filters of a convolution that give nothing.

extension Tensor {
  /// The places along the first dimension where a floating-point tensor holds nothing but 0 and -0.
  ///
  /// - Throws: as ``contiguousBytes(limits:)``.
  package func zeroRows() throws(CheckpointError) -> [Int] {
    // Filters that share memory are nobody's.
    guard let count = shape.first, count > 0, elementCount > 0, byteCount <= storage.byteCount else {
      return []
    }
    let bytes = try contiguousBytes()
    let (size, rowSize) = (dtype.size, bytes.count / count)
    // Of the last byte of an element, the highest bit is the sign.
    let sign: UInt8 = 0x80
    return unsafe bytes.withUnsafeBytes { bytes in
      (0..<count).filter { row in
        // Nearly every row ends the loop with its first byte.
        for place in 0..<rowSize {
          let byte = unsafe bytes[row * rowSize + place]
          if byte & (place % size == size - 1 ? ~sign : 0xFF) != 0 { return false }
        }
        return true
      }
    }
  }
}
