// Multiplications and additions as fast as the CPU can do them: the peak that others are compared with.

public enum PeakKernel {
  /// Multiplications and additions for each lane of a round.
  public static let operationsOfRound = 20

  /// Does `rounds` rounds in ten independent sums, enough to keep every multiplier busy.
  @inlinable @inline(__always)
  public static func run<V: FloatVector>(_: V.Type, rounds: Int, _ factor: Float, to target: Floats) {
    let (a, b) = (V(repeating: factor), V(repeating: 1 - factor))
    var (s0, s1, s2, s3, s4) = (a, b, a, b, a)
    var (s5, s6, s7, s8, s9) = (b, a, b, a, b)
    var round = 0
    while round < rounds {
      s0 = s0.addingProductFast(a, b)
      s1 = s1.addingProductFast(a, b)
      s2 = s2.addingProductFast(a, b)
      s3 = s3.addingProductFast(a, b)
      s4 = s4.addingProductFast(a, b)
      s5 = s5.addingProductFast(a, b)
      s6 = s6.addingProductFast(a, b)
      s7 = s7.addingProductFast(a, b)
      s8 = s8.addingProductFast(a, b)
      s9 = s9.addingProductFast(a, b)
      round &+= 1
    }
    (((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7)) + (s8 + s9)).store(target)
  }
}
