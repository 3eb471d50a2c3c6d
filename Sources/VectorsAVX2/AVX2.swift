// The kernels for AVX2, vectors of 8 Floats; this target is compiled with -march=x86-64-v3.

public import Vectors

extension VectorKernels {
  /// Only for CPUs that have AVX2.
  public static let avx2 = VectorKernels("AVX2", SIMD8<Float>.self)
}
