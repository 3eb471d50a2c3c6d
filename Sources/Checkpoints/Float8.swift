// The floating-point types of 8 bits, as their values are defined: a table of 256 for each.
//
//   e4m3fn, e5m2           arXiv 2209.05433: e5m2 has infinities, e4m3fn has one NaN for each sign
//   e4m3fnuz, e5m2fnuz     arXiv 2206.02915: no infinities, one zero, and NaN where -0 would be
//   e8m0fnu                a power of two, as OCP's microscaling formats have for scales; NaN is 255

extension DType {
  /// The values of a floating-point type of 8 bits by their bits; nil for every other type.
  var float8Values: [Float]? {
    switch self {
    case .float8_e4m3fn:
      Float8(mantissaBits: 3, bias: 7).values { $0 & 0x7F == 0x7F ? .nan : nil }
    case .float8_e5m2:
      Float8(mantissaBits: 2, bias: 15).values { bits in
        bits & 0x7C == 0x7C ? (bits & 3 == 0 ? .infinity : .nan) : nil
      }
    case .float8_e4m3fnuz: Float8(mantissaBits: 3, bias: 8).values { $0 == 0x80 ? .nan : nil }
    case .float8_e5m2fnuz: Float8(mantissaBits: 2, bias: 16).values { $0 == 0x80 ? .nan : nil }
    case .float8_e8m0fnu:
      (0..<256).map { $0 == 255 ? .nan : Float(sign: .plus, exponent: $0 - 127, significand: 1) }
    default: nil
    }
  }
}

/// A sign, an exponent and a mantissa in 8 bits.
private struct Float8 {
  let mantissaBits: Int
  let bias: Int

  /// All values; `special` gives the magnitudes of those that are no numbers.
  func values(_ special: (_ bits: Int) -> Float?) -> [Float] {
    (0..<256).map { bits in
      let magnitude = special(bits) ?? magnitude(bits & 0x7F)
      return bits & 0x80 == 0 ? magnitude : -magnitude
    }
  }

  private func magnitude(_ bits: Int) -> Float {
    let (exponent, fraction) = (bits >> mantissaBits, bits & ((1 << mantissaBits) - 1))
    // Without an exponent there is no leading one.
    let significand = exponent == 0 ? fraction : fraction + (1 << mantissaBits)
    return Float(
      sign: .plus, exponent: max(exponent, 1) - bias - mantissaBits, significand: Float(significand))
  }
}
