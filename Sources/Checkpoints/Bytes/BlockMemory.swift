// Memory in which a block of a file is put together before it is written. It is used again for later blocks, as the
// system clears new memory.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Memory that one thread at a time fills or writes to a file: whoever took it from the others.
@safe final class BlockMemory: @unchecked Sendable {
  private let buffer: UnsafeMutableRawBufferPointer

  /// - Parameter count: the bytes of the largest block.
  init(count: Int) {
    let hugePage = 1 << 21
    unsafe buffer = .allocate(byteCount: count, alignment: count < hugePage ? 64 : hugePage)
    #if os(Linux)
      // One large page instead of 512 small ones, which the system has to clear and to look up.
      if count >= hugePage { unsafe _ = madvise(buffer.baseAddress, count, MADV_HUGEPAGE) }
    #endif
  }

  deinit { unsafe buffer.deallocate() }

  /// Copies `bytes` to the place from `offset` on, where there must be room for them.
  ///
  /// - Returns: their CRC-32, computed while the copy is in the cache.
  /// - Throws: as ``Bytes/copy(to:)``.
  func copy(_ bytes: Bytes, to offset: Int) throws(CheckpointError) -> UInt32 {
    let target = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<offset + bytes.count])
    try unsafe bytes.copy(to: target)
    return unsafe crc32(UnsafeRawBufferPointer(target), continuing: 0)
  }

  /// Writes zeros to the places in `range`.
  func clear(_ range: Range<Int>) {
    unsafe buffer[range].initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// Calls `body` with the first `count` bytes.
  func withUnsafeBytes<Failure: Error>(
    _ count: Int, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    try unsafe body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
  }
}
