// The kernels for AVX-512, vectors of 16 Floats; this target is compiled with -march=x86-64-v4.

public import Vectors

extension VectorKernels {
  /// Only for CPUs that have AVX-512 (F, BW, CD, DQ and VL).
  public static let avx512 = VectorKernels("AVX-512", SIMD16<Float>.self)
}
