// What can be said of a tensor's values in a few numbers.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// Statistics of a tensor's values; of their magnitudes where they are complex.
public struct TensorStatistics: Sendable {
  /// How many finite values lie in parts of equal width between the smallest and the largest.
  public struct Histogram: Sendable {
    /// The parts' limits, one more than there are parts; the last part includes its upper one.
    public let edges: [Double]
    /// How many values lie in each part.
    public let counts: [Int]
  }

  /// The number of values.
  public private(set) var count = 0
  /// The smallest finite value; nil where there is none.
  public private(set) var minimum: Double?
  /// The largest finite value; nil where there is none.
  public private(set) var maximum: Double?
  /// The mean of the finite values; nil where there are none.
  public private(set) var mean: Double?
  /// The standard deviation of the finite values as a population, as `numpy.std` has it; nil where there are none.
  public private(set) var standardDeviation: Double?
  /// How many values are 0 or -0.
  public private(set) var zeros = 0
  /// How many values are NaN.
  public private(set) var nans = 0
  /// How many values are infinite.
  public private(set) var infinities = 0
  /// How many different values integers have; nil for other types and beyond ``mostDistinct``.
  public private(set) var distinct: Int?
  /// The histogram of the finite values; nil where there are none.
  public private(set) var histogram: Histogram?

  /// More different values than this are not counted.
  public static let mostDistinct = 65_536

  /// Goes through the values of a tensor. Quantized and sparse ones are made dense first.
  ///
  /// - Parameter parts: how many parts the histogram has.
  /// - Throws: `.notRepresentable` for types that are no numbers, and whatever ``Tensor/dense(limits:)`` throws.
  public init(_ tensor: Tensor, parts: Int = 16) throws(CheckpointError) {
    let values = try tensor.divisible()
    var sum = 0.0
    var seen: Set<Double>? = values.dtype.isInteger || values.dtype == .bool ? [] : nil
    try values.forEachPiece { value in
      count += 1
      if value == 0 { zeros += 1 }
      if seen != nil {
        seen?.insert(value)
        if seen?.count ?? 0 > TensorStatistics.mostDistinct { seen = nil }
      }
      guard value.isFinite else {
        if value.isNaN { nans += 1 } else { infinities += 1 }
        return
      }
      sum += value
      minimum = min(minimum ?? value, value)
      maximum = max(maximum ?? value, value)
    }
    distinct = seen?.count
    guard let minimum, let maximum else { return }
    let finite = Double(count - nans - infinities)

    // From here on in units of a power of two, which changes no digit: squares, sums and widths of the largest values
    // would be no Doubles.
    let exponent = max(-1000, min(Int(max(abs(minimum), abs(maximum)).exponent), 1000))
    let unit = Double(sign: .plus, exponent: exponent, significand: 1)
    let scale = 1 / unit
    var scaledMean = sum * scale / finite
    if !sum.isFinite {
      var scaledSum = 0.0
      try values.forEachPiece { if $0.isFinite { scaledSum += $0 * scale } }
      scaledMean = scaledSum / finite
    }
    mean = scaledMean * unit

    let low = minimum * scale
    let width = (maximum * scale - low) / Double(max(1, parts))
    let used = width > 0 ? max(1, parts) : 1
    var counts = [Int](repeating: 0, count: used)
    var squares = 0.0
    try values.forEachPiece { value in
      guard value.isFinite else { return }
      let scaled = value * scale
      squares += (scaled - scaledMean) * (scaled - scaledMean)
      let place = used == 1 ? 0 : ((scaled - low) / width).rounded(.down)
      counts[place < Double(used) ? max(0, Int(place)) : used - 1] += 1
    }
    standardDeviation = (squares / finite).squareRoot() * unit
    histogram = Histogram(
      edges: (0..<used).map { (low + width * Double($0)) * unit } + [maximum], counts: counts)
  }
}

extension Tensor {
  /// Calls `body` with each value as Double, or its magnitude, in row-major order.
  fileprivate func forEachPiece(_ body: (Double) -> Void) throws(CheckpointError) {
    for range in (0..<elementCount).parts(of: Tensor.pieceLength) {
      let piece = try elements(range)
      guard let component = dtype.component else {
        for value in try piece.doubles() { body(value) }
        continue
      }
      let bytes = try piece.contiguousBytes()
      let numbers = try Tensor(dtype: component, shape: [2 * range.count], storage: Storage(bytes)).doubles()
      for place in 0..<range.count {
        body(hypot(numbers[2 * place], numbers[2 * place + 1]))
      }
    }
  }
}

extension Tensor {
  /// The tensor in a type that NumPy has: itself, or its values in float32, which holds all of them.
  ///
  /// - Throws: `.notRepresentable` for types that are no numbers, and whatever ``dense(limits:)`` throws.
  package func forNumPy() throws(CheckpointError) -> Tensor {
    let dense = try dense()
    if NPY.hasType(dense.dtype) { return dense }
    return try Tensor(shape: dense.shape, dense.floats())
  }
}

extension DType {
  /// The type of the two numbers that a complex one is made of; nil for all others.
  package var component: DType? {
    switch self {
    case .complex128: .float64
    case .complex64: .float32
    case .complex32: .float16
    default: nil
    }
  }

  /// Whether the values are whole numbers.
  package var isInteger: Bool {
    switch self {
    case .int64, .int32, .int16, .int8, .uint64, .uint32, .uint16, .uint8: true
    default: false
    }
  }
}
