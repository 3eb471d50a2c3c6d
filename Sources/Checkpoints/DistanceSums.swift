// The arithmetic of comparing values: differences, and the sums of a cosine, of two runs of Float in Double.
//
// Blocks are first gone through with vectors. A block in which a difference is larger than all before it, or a value
// is not finite, is gone through again one by one; in long tensors few are.

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

  private typealias Lanes = SIMD4<Double>
  private typealias Mask = SIMDMask<SIMD4<Int64>>

  init(
    _ a: UnsafeBufferPointer<Float>, _ b: UnsafeBufferPointer<Float>, _ tolerance: Tolerance,
    _ largestAbsolute: Double, _ largestRelative: Double
  ) {
    guard let left = a.baseAddress, let right = b.baseAddress else { return }
    let (leftBytes, rightBytes) = unsafe (UnsafeRawPointer(left), UnsafeRawPointer(right))
    var (products, here, there) = (Lanes(), Lanes(), Lanes())
    var counts = SIMD4<Int64>()
    var isLarger = Mask(repeating: false)
    let largest = Lanes(repeating: largestAbsolute)
    // Less by more than what rounding can add, so that no quotient that is larger is passed over.
    let ratio = Lanes(repeating: largestRelative * (1 - 0x1p-50))
    let (absolute, relative) = (Lanes(repeating: tolerance.absolute), Lanes(repeating: tolerance.relative))
    let whole = a.count / Lanes.scalarCount * Lanes.scalarCount
    for place in stride(from: 0, to: whole, by: Lanes.scalarCount) {
      let offset = place * MemoryLayout<Float>.size
      let x = unsafe Lanes(leftBytes.loadUnaligned(fromByteOffset: offset, as: SIMD4<Float>.self))
      let y = unsafe Lanes(rightBytes.loadUnaligned(fromByteOffset: offset, as: SIMD4<Float>.self))
      products += x * y
      here += x * x
      there += y * y
      let (apart, size) = (magnitude(x - y), magnitude(y))
      // A mask's lanes are 0 or -1.
      counts &-= unsafe unsafeBitCast(apart .> absolute + relative * size, to: SIMD4<Int64>.self)
      isLarger = isLarger .| (apart .> largest) .| (apart .> ratio * size)
    }
    product = products.sum()
    squaresHere = here.sum()
    squaresThere = there.sum()
    count = Int(counts.wrappedSum())
    isPlain = !any(isLarger)
    for place in whole..<a.count {
      let (x, y) = unsafe (Double(left[place]), Double(right[place]))
      product += x * y
      squaresHere += x * x
      squaresThere += y * y
      let (apart, size) = ((x - y).magnitude, y.magnitude)
      if apart > tolerance.absolute + tolerance.relative * size { count += 1 }
      if apart > largestAbsolute || apart > ratio[0] * size { isPlain = false }
    }
    // The square of a Float is no infinity in Double unless the Float is one.
    if !(squaresHere + squaresThere).isFinite { isPlain = false }
  }

  /// The values without their signs.
  @inline(__always)
  private func magnitude(_ lanes: Lanes) -> Lanes {
    Lanes(lanes.x.magnitude, lanes.y.magnitude, lanes.z.magnitude, lanes.w.magnitude)
  }
}
