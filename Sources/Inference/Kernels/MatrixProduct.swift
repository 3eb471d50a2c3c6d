// The one place where matrices are multiplied: OpenBLAS, on one thread a call. The threads are ours.

import COpenBLAS
import Vectors

package enum MatrixProduct {
  /// OpenBLAS is told once to leave threads to us.
  private static let configured: Void = openblas_set_num_threads(1)

  /// Must be called before the first product; costs nothing after that.
  static func prepare() { _ = configured }

  /// `c = a · b`, or `c += a · b`, for row-major `a` [rows, depth], `b` [depth, columns] and `c` [rows, columns]
  /// whose rows begin `aStride`, `bStride` and `cStride` elements apart.
  static func multiply(
    rows: Int, columns: Int, depth: Int, _ a: ConstantFloats, aStride: Int, _ b: ConstantFloats, bStride: Int,
    _ c: Floats, cStride: Int, accumulate: Bool
  ) {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasNoTrans, blasint(rows), blasint(columns), blasint(depth), 1, a,
      blasint(aStride), b, blasint(bStride), accumulate ? 1 : 0, c, blasint(cStride))
  }

  /// Ends the threads that OpenBLAS started when it was loaded.
  ///
  /// They spin for some 27 ms before they sleep, and take a core from whatever the process does
  /// first. Only a program that uses OpenBLAS through this library alone may do it.
  package static func endForeignThreads() {
    prepare()
    openblas_end_threads()
  }

  /// The kind of CPU that OpenBLAS chose its kernels for, such as `Zen`.
  package static var coreType: String { String(cString: openblas_get_corename()) }
}
