// OpenBLAS, opened when the first product needs it: loading it takes longer than a small command does, and where our own
// kernel fits nothing needs it. Building needs neither its headers nor its package.

import Vectors

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// The functions of OpenBLAS, as `cblas.h` declares them where an integer has 32 bits.
struct BLASLibrary: Sendable {
  private typealias Multiply =
    @convention(c) (
      _ order: CInt, _ leftTransposition: CInt, _ rightTransposition: CInt, _ rows: CInt, _ columns: CInt,
      _ depth: CInt, _ alpha: Float, _ left: ConstantFloats, _ leftStride: CInt, _ right: ConstantFloats,
      _ rightStride: CInt, _ beta: Float, _ target: Floats, _ stride: CInt
    ) -> Void

  private let sgemm: Multiply
  /// The kind of CPU that its kernels were chosen for, such as `Zen`.
  let coreType: String

  private static let rowMajor: CInt = 101
  private static let notTransposed: CInt = 111

  /// Debian's name and that of most, then Homebrew's.
  private static let names = [
    "libopenblas.so.0", "libopenblas.so", "/opt/homebrew/opt/openblas/lib/libopenblas.dylib",
    "/usr/local/opt/openblas/lib/libopenblas.dylib",
  ]

  /// The library; nil where there is none.
  static let installed = BLASLibrary()

  private init?() {
    // Who had it before us may be using its threads.
    let isOurs = !BLASLibrary.names.contains { dlopen($0, RTLD_LAZY | RTLD_NOLOAD) != nil }
    guard let library = BLASLibrary.names.lazy.compactMap({ dlopen($0, RTLD_LAZY | RTLD_LOCAL) }).first,
      let sgemm = dlsym(library, "cblas_sgemm"),
      let setThreadCount = dlsym(library, "openblas_set_num_threads"),
      let coreName = dlsym(library, "openblas_get_corename")
    else { return nil }
    self.sgemm = unsafeBitCast(sgemm, to: Multiply.self)
    coreType =
      unsafeBitCast(coreName, to: (@convention(c) () -> UnsafePointer<CChar>?).self)()
      .map { String(cString: $0) } ?? "unknown"
    // Threads are ours. Those that it starts when it is loaded spin for some 27 ms before they sleep, and take a core from
    // whatever the process does first; only some builds can end them.
    unsafeBitCast(setThreadCount, to: (@convention(c) (CInt) -> Void).self)(1)
    if isOurs, let endThreads = dlsym(library, "blas_thread_shutdown_") {
      _ = unsafeBitCast(endThreads, to: (@convention(c) () -> CInt).self)()
    }
  }

  /// `target = left · right + (accumulates ? target : 0)`, all of them in rows.
  func multiply(
    _ left: ConstantFloats, _ leftStride: Int, _ right: ConstantFloats, _ rightStride: Int, rows: Int,
    columns: Int, depth: Int, accumulates: Bool, _ target: Floats, _ stride: Int
  ) {
    sgemm(
      BLASLibrary.rowMajor, BLASLibrary.notTransposed, BLASLibrary.notTransposed, CInt(rows), CInt(columns),
      CInt(depth), 1, left, CInt(leftStride), right, CInt(rightStride), accumulates ? 1 : 0, target,
      CInt(stride))
  }
}
