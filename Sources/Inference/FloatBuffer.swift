// The memory that plans work in.

import Vectors

#if canImport(Glibc)
  import Glibc
#endif

/// Floats at a fixed place, aligned for the widest vectors; whoever makes it fills it. Written by its
/// maker before it is shared, or by one pass at a time.
final class FloatBuffer: @unchecked Sendable {
  let start: Floats
  let count: Int

  /// Larger buffers are asked for in huge pages: fewer page faults when they are filled, and fewer
  /// misses of the address cache after that (1 % of a forward pass).
  private static let hugePage = 2 << 20

  init(count: Int) {
    self.count = count
    let byteCount = max(1, count) * MemoryLayout<Float>.stride
    let isLarge = byteCount >= FloatBuffer.hugePage
    let bytes = UnsafeMutableRawPointer.allocate(
      byteCount: byteCount, alignment: isLarge ? FloatBuffer.hugePage : 64)
    #if canImport(Glibc)
      if isLarge { madvise(bytes, byteCount, MADV_HUGEPAGE) }
    #endif
    start = bytes.bindMemory(to: Float.self, capacity: count)
  }

  convenience init(_ values: [Float]) {
    self.init(count: values.count)
    values.withUnsafeBufferPointer { values in
      if let source = values.baseAddress { start.update(from: source, count: values.count) }
    }
  }

  deinit { start.deallocate() }
}
