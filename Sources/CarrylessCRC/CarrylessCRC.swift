// CRC-32 by carry-less multiplication, after Intel's white paper "Fast CRC Computation for Generic Polynomials Using
// PCLMULQDQ Instruction" (2009): 12 GB a second of a core of Zen 3.
//
// This target is compiled for CPUs that have the instruction: SSE4.2 and PCLMULQDQ. Who calls it has asked the CPU.

import CCPU

/// Folds a message of whole groups of 64 bytes to 16 bytes that leave the same remainder.
///
/// - Parameters:
///   - start: the message, at least one group.
///   - initial: added to its first 32 bits.
/// - Returns: the 16 bytes, as little-endian words.
public func folded(
  _ start: UnsafeRawPointer, groups: Int, adding initial: UInt32
) -> (first: UInt64, second: UInt64) {
  func word(_ index: Int) -> SIMD2<UInt64> {
    start.loadUnaligned(fromByteOffset: index &* 16, as: SIMD2<UInt64>.self)
  }
  // The lower word is the earlier one: it goes 64 bits farther.
  func moved(_ sum: SIMD2<UInt64>, _ powers: SIMD2<UInt64>) -> SIMD2<UInt64> {
    cpu_carryless_product_low(sum, powers) ^ cpu_carryless_product_high(sum, powers)
  }
  var (a, b, c, d) = (word(0), word(1), word(2), word(3))
  a[0] ^= UInt64(initial)
  for group in 1..<max(groups, 1) {
    let first = group &* 4
    a = moved(a, by64Bytes) ^ word(first)
    b = moved(b, by64Bytes) ^ word(first &+ 1)
    c = moved(c, by64Bytes) ^ word(first &+ 2)
    d = moved(d, by64Bytes) ^ word(first &+ 3)
  }
  let sum = moved(moved(moved(a, by16Bytes) ^ b, by16Bytes) ^ c, by16Bytes) ^ d
  return (sum[0], sum[1])
}

/// x^(n + 32) and x^(n − 32) modulo the polynomial, bits reversed, for n bits.
private let by64Bytes = SIMD2<UInt64>(0x1_5444_2BD4, 0x1_C6E4_1596)
private let by16Bytes = SIMD2<UInt64>(0x1_7519_97D0, 0x0_CCAA_009E)
