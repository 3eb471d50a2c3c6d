// The kernels for what every CPU of an architecture has: SSE2 or NEON, vectors of 4 Floats.

public import Vectors

extension VectorKernels {
  public static let baseline = VectorKernels("128 bits", SIMD4<Float>.self)
}
