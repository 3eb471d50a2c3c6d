// The first values of a tensor as NumPy prints an array: the fewest digits that tell a value from its neighbours, at
// most eight behind the point; all with an exponent where one is very large, very small, or they differ much.
// https://numpy.org/doc/stable/reference/generated/numpy.array2string.html

import Checkpoints

struct ArrayText {
  /// The values, each as it is printed but for spaces.
  let values: [String]
  private let padded: [String]
  private let isAll: Bool

  /// No values.
  init() { (values, padded, isAll) = ([], [], true) }

  /// The first values of a tensor in row-major order.
  init(of tensor: Tensor, most: Int) throws(CheckpointError) {
    let dense = try tensor.dense()
    let count = min(most, dense.elementCount)
    isAll = count == dense.elementCount
    let start = try dense.prefix(count)
    if let component = start.dtype.component {
      let numbers = try Tensor(
        dtype: component, shape: [2 * count], storage: Storage(start.contiguousBytes()))
      let parts = try ArrayText.shortest(numbers)
      let real = ArrayText.together((0..<count).map { parts[2 * $0] })
      let imaginary = ArrayText.together((0..<count).map { parts[2 * $0 + 1] }).map {
        ($0.hasPrefix("-") ? "" : "+") + $0 + "j"
      }
      values = zip(real, imaginary).map { $0 + $1 }
      padded = zip(ArrayText.alignedAtPoint(real), ArrayText.alignedLeft(imaginary)).map { $0 + $1 }
    } else if start.dtype.isInteger {
      values = try ArrayText.integers(start)
      padded = ArrayText.alignedRight(values)
    } else if start.dtype == .bool {
      values = try start.floats().map { $0 == 0 ? "False" : "True" }
      padded = ArrayText.alignedRight(values)
    } else {
      values = ArrayText.together(try ArrayText.shortest(start))
      padded = ArrayText.alignedAtPoint(values)
    }
  }

  /// The values in brackets.
  var line: String { "[" + padded.joined(separator: " ") + (isAll ? "" : " ...") + "]" }

  // MARK: Digits

  private typealias Number = (value: Double, text: String)

  /// Each value with the fewest digits that tell it from its neighbours of the same type, in `%g`'s form.
  private static func shortest(_ tensor: Tensor) throws(CheckpointError) -> [Number] {
    let mantissaBits = tensor.dtype.mantissaBits
    return try tensor.doubles().map { value in
      guard value.isFinite, value != 0 else { return (value, value.isNaN ? "nan" : general(value, 1)) }
      let halfSpacing = value.ulp / 2 * Double(1 << (Double.significandBitCount - mantissaBits))
      let text = (1...17).lazy.map { general(value, $0) }.first { text in
        guard let read = Double(text) else { return false }
        return read == value
          || mantissaBits < Double.significandBitCount && (read - value).magnitude < halfSpacing
      }
      return (value, text ?? general(value, 17))
    }
  }

  /// The values in one form: with or without an exponent.
  private static func together(_ numbers: [Number]) -> [String] {
    let sizes = numbers.map(\.value.magnitude).filter { $0.isFinite && $0 > 0 }
    let (least, largest) = (sizes.min() ?? 1, sizes.max() ?? 1)
    let hasExponent = largest >= 1e8 || least < 1e-4 || largest / least > 1000
    let digits = numbers.map { $0.value.isFinite ? max(1, countedDigits($0.text)) : 1 }
    let mostBehindPoint = 8
    if hasExponent {
      let behind = min(mostBehindPoint, (digits.max() ?? 1) - 1)
      return numbers.map { $0.value.isFinite ? formatted($0.value, "%.*e", behind).withPoint : $0.text }
    }
    return zip(numbers, digits).map { number, digits in
      guard number.value.isFinite else { return number.text }
      // Digits behind the point: those that count less those before it.
      let behind = min(mostBehindPoint, max(0, digits - 1 - exponent(number.value, digits)))
      var text = formatted(number.value, "%.*f", behind)
      if behind > 0 { while text.last == "0" { text.removeLast() } }
      return text.withPoint
    }
  }

  /// The digits of a mantissa without the zeros that hold places only.
  private static func countedDigits(_ text: String) -> Int {
    let mantissa = text.prefix { $0 != "e" }.filter(\.isNumber).drop { $0 == "0" }
    guard text.contains(".") || text.contains("e") else {
      return mantissa.reversed().drop { $0 == "0" }.count
    }
    return mantissa.count
  }

  /// The exponent of the first digit when there are so many.
  private static func exponent(_ value: Double, _ digits: Int) -> Int {
    let text = formatted(value, "%.*e", digits - 1)
    return text.firstIndex(of: "e").flatMap { Int(text[text.index(after: $0)...]) } ?? 0
  }

  private static func integers(_ tensor: Tensor) throws(CheckpointError) -> [String] {
    guard tensor.dtype == .uint64 else { return try tensor.doubles().map { "\(Int64($0))" } }
    let bytes = try tensor.contiguousBytes()
    return (0..<tensor.elementCount).map { "\(bytes.load(UInt64.self, at: $0 * 8) ?? 0)" }
  }

  // MARK: Columns

  private static func alignedRight(_ values: [String]) -> [String] {
    let width = values.map(\.count).max() ?? 0
    return values.map { String(repeating: " ", count: width - $0.count) + $0 }
  }

  private static func alignedLeft(_ values: [String]) -> [String] {
    let width = values.map(\.count).max() ?? 0
    return values.map { $0 + String(repeating: " ", count: width - $0.count) }
  }

  private static func alignedAtPoint(_ values: [String]) -> [String] {
    let behind = values.map { $0.contains(".") ? $0.count - $0.prefix { $0 != "." }.count : 0 }
    let most = behind.max() ?? 0
    return alignedRight(
      zip(values, behind).map { value, behind in
        value.contains(".") ? value + String(repeating: " ", count: most - behind) : value
      })
  }
}

extension String {
  /// As NumPy marks what is no integer: with a point, before the exponent if there is one.
  fileprivate var withPoint: String {
    if contains(".") { return self }
    guard let exponent = firstIndex(of: "e") else { return self + "." }
    return self[..<exponent] + "." + self[exponent...]
  }
}

extension DType {
  /// Bits of the fraction of a floating-point number; those of Double for all other types.
  fileprivate var mantissaBits: Int {
    switch self {
    case .float32: 23
    case .float16: 10
    case .bfloat16: 7
    case .float8_e4m3fn, .float8_e4m3fnuz: 3
    case .float8_e5m2, .float8_e5m2fnuz: 2
    case .float8_e8m0fnu: 0
    default: Double.significandBitCount
    }
  }
}
