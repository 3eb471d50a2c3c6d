// The memory that plans work in.

import Vectors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Floats at a fixed place, aligned for the widest vectors; whoever makes it fills it. Written by its
/// maker before it is shared, or by one pass at a time.
final class FloatBuffer: @unchecked Sendable {
  let start: Floats
  let count: Int

  /// Larger buffers are asked for in huge pages: fewer page faults when they are filled, and fewer
  /// misses of the address cache after that (1 % of a forward pass).
  private static let hugePage = 2 << 20

  /// For what is no larger than the model's own tensors: a program can't go on without it.
  init(count: Int) {
    guard let start = FloatBuffer.memory(count) else { fatalError("no memory for \(count) numbers") }
    (self.start, self.count) = (start, count)
  }

  /// For what may be of any size; nil where the system does not give as much.
  init?(reserving count: Int) {
    guard let start = FloatBuffer.memory(count) else { return nil }
    (self.start, self.count) = (start, count)
  }

  private static func memory(_ count: Int) -> Floats? {
    let byteCount = max(1, count) * MemoryLayout<Float>.stride
    let isLarge = byteCount >= hugePage
    var bytes: UnsafeMutableRawPointer?
    guard posix_memalign(&bytes, isLarge ? hugePage : 64, byteCount) == 0 else { return nil }
    #if canImport(Glibc)
      if isLarge { madvise(bytes, byteCount, MADV_HUGEPAGE) }
    #endif
    return bytes?.bindMemory(to: Float.self, capacity: count)
  }

  convenience init(_ values: [Float]) {
    self.init(count: values.count)
    values.withUnsafeBufferPointer { values in
      if let source = values.baseAddress { start.update(from: source, count: values.count) }
    }
  }

  deinit { free(start) }
}
