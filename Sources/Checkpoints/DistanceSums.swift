// The arithmetic of comparing values: differences, and the sums of a cosine, of two runs of Float in Double.
//
// Blocks are first gone through with vectors. A block in which a difference may be larger than all before it, or a value
// is not finite, is gone through again one by one; in long tensors few are. Whether one may be is found out in Float, whose
// vectors hold twice as many values.

/// What the differences of two runs of values come to. Runs that follow each other can be joined.
struct DistanceSums: Sendable {
  private(set) var largestAbsolute = 0.0
  private(set) var largestRelative = 0.0
  /// The element with the first of the largest absolute differences.
  private(set) var position = 0
  /// How many elements are further apart than the tolerance.
  private(set) var count = 0
  private(set) var product = 0.0
  private(set) var squaresHere = 0.0
  private(set) var squaresThere = 0.0

  init() {}

  /// The elements in `range` of two divisible tensors.
  ///
  /// - Throws: ``CheckpointError`` when one of them can't be read, or does not convert to Float.
  init(_ here: Tensor, _ there: Tensor, _ range: Range<Int>, _ tolerance: Tolerance) throws(CheckpointError) {
    for piece in range.parts(of: Tensor.pieceLength) {
      let (a, b) = (try here.elements(piece), try there.elements(piece))
      let outcome = unsafe try a.withFloats { a in
        Result { () throws(CheckpointError) in
          unsafe try b.withFloats { b in unsafe add(a, b, at: piece.lowerBound, tolerance) }
        }
      }
      try outcome.get()
    }
  }

  /// Adds a run that follows this one.
  mutating func join(_ next: DistanceSums) {
    if next.largestAbsolute > largestAbsolute {
      (largestAbsolute, position) = (next.largestAbsolute, next.position)
    }
    largestRelative = max(largestRelative, next.largestRelative)
    count += next.count
    product += next.product
    squaresHere += next.squaresHere
    squaresThere += next.squaresThere
  }

  private static let blockLength = 1024

  private mutating func add(
    _ a: UnsafeBufferPointer<Float>, _ b: UnsafeBufferPointer<Float>, at start: Int, _ tolerance: Tolerance
  ) {
    for range in (0..<min(a.count, b.count)).parts(of: DistanceSums.blockLength) {
      let (a, b) = unsafe (
        UnsafeBufferPointer(rebasing: a[range]), UnsafeBufferPointer(rebasing: b[range])
      )
      let block = unsafe Block(a, b, tolerance, largestAbsolute, largestRelative)
      product += block.product
      squaresHere += block.squaresHere
      squaresThere += block.squaresThere
      if block.isPlain {
        count += block.count
      } else {
        unsafe examine(a, b, at: start + range.lowerBound, tolerance)
      }
    }
  }

  /// The differences of a block one by one.
  private mutating func examine(
    _ a: UnsafeBufferPointer<Float>, _ b: UnsafeBufferPointer<Float>, at start: Int, _ tolerance: Tolerance
  ) {
    for place in a.indices {
      let (left, right) = unsafe (a[place], b[place])
      if left == right || left.isNaN && right.isNaN { continue }
      let (x, y) = (Double(left), Double(right))
      let distance = (x - y).magnitude
      let apart = distance.isNaN ? Double.infinity : distance
      if apart == .infinity || apart > tolerance.absolute + tolerance.relative * y.magnitude { count += 1 }
      if apart > largestAbsolute { (largestAbsolute, position) = (apart, start + place) }
      largestRelative = max(largestRelative, apart / y.magnitude)
    }
  }
}

/// A block's sums.
private struct Block {
  private(set) var product = 0.0
  private(set) var squaresHere = 0.0
  private(set) var squaresThere = 0.0
  private(set) var count = 0
  /// Whether all values are finite and no difference is larger than those known.
  private(set) var isPlain = true

  private typealias Floats = SIMD4<Float>
  private typealias Doubles = SIMD4<Double>

  init(
    _ a: UnsafeBufferPointer<Float>, _ b: UnsafeBufferPointer<Float>, _ tolerance: Tolerance,
    _ largestAbsolute: Double, _ largestRelative: Double
  ) {
    guard let left = a.baseAddress, let right = b.baseAddress else { return }
    // A difference that is larger than another is not less than it when both are rounded to Float.
    let largest = Float(largestAbsolute)
    // Less by more than what rounding can add, so that no quotient that is larger is passed over.
    let ratio =
      largestRelative.isInfinite
      ? .infinity : Float(min(largestRelative * (1 - 0x1p-21), Double(Float.greatestFiniteMagnitude)))
    var (products, here, there) = (Doubles(), Doubles(), Doubles())
    var counts = SIMD4<Int32>()
    var isLarger = SIMDMask<SIMD4<Int32>>(repeating: false)
    let whole = a.count / Floats.scalarCount * Floats.scalarCount
    for place in stride(from: 0, to: whole, by: Floats.scalarCount) {
      let (left, right) = unsafe (Block.lanes(left + place), Block.lanes(right + place))
      let (x, y) = (Doubles(left), Doubles(right))
      products += x * y
      here += x * x
      there += y * y
      let (apart, size) = (Block.magnitude(left - right), Block.magnitude(right))
      let differs = left .!= right
      // A mask's lanes are 0 or -1.
      counts &-= unsafe unsafeBitCast(differs, to: SIMD4<Int32>.self)
      isLarger = isLarger .| ((apart .>= largest) .| (apart .>= ratio * size)) .& differs
    }
    product = products.sum()
    squaresHere = here.sum()
    squaresThere = there.sum()
    count = Int(counts.wrappedSum())
    isPlain = !any(isLarger)
    for place in whole..<a.count {
      let (left, right) = unsafe (left[place], right[place])
      let (x, y) = (Double(left), Double(right))
      product += x * y
      squaresHere += x * x
      squaresThere += y * y
      let apart = (left - right).magnitude
      if left != right {
        count += 1
        if apart >= largest || apart >= ratio * right.magnitude { isPlain = false }
      }
    }
    // The square of a Float is no infinity in Double unless the Float is one.
    if !(squaresHere + squaresThere).isFinite { isPlain = false }
    if tolerance.absolute > 0 || tolerance.relative > 0, isPlain {
      count = unsafe Block.count(a, b, tolerance)
    }
  }

  /// How many values of a block are further apart than the tolerance.
  private static func count(
    _ a: UnsafeBufferPointer<Float>, _ b: UnsafeBufferPointer<Float>, _ tolerance: Tolerance
  ) -> Int {
    var count = 0
    for place in a.indices {
      let (x, y) = unsafe (Double(a[place]), Double(b[place]))
      count &+= (x - y).magnitude > tolerance.absolute + tolerance.relative * y.magnitude ? 1 : 0
    }
    return count
  }

  @inline(__always)
  private static func lanes(_ start: UnsafePointer<Float>) -> Floats {
    unsafe UnsafeRawPointer(start).loadUnaligned(as: Floats.self)
  }

  /// The values without their signs.
  @inline(__always)
  private static func magnitude(_ lanes: Floats) -> Floats {
    let bits = unsafe unsafeBitCast(lanes, to: SIMD4<UInt32>.self) & 0x7FFF_FFFF
    return unsafe unsafeBitCast(bits, to: Floats.self)
  }
}
