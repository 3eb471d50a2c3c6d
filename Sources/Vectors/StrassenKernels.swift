// What Strassen's algorithm does beside multiplying, and the product that adds to two matrices: see
// `StrassenConvolution` in Inference.

/// A product with everything that is added to it: `target = left · weights + initial + residual + bias`, within `bounds`,
/// and `beside = beside + left · weights`.
public struct StrassenProduct {
  @usableFromInline let left: ConstantFloats
  @usableFromInline let leftStride: Int
  @usableFromInline let rows: Int
  @usableFromInline let depth: Int
  /// Panels, none of which ends early.
  @usableFromInline let weights: ConstantFloats
  @usableFromInline let columns: Int
  @usableFromInline let beside: Floats?
  @usableFromInline let initial: ConstantFloats?
  @usableFromInline let residual: ConstantFloats?
  @usableFromInline let bias: ConstantFloats?
  @usableFromInline let bounds: Bounds
  @usableFromInline let target: Floats
  @usableFromInline let stride: Int
  @usableFromInline let following: ConstantFloats

  /// - Parameters:
  ///   - left: its rows begin `leftStride` apart.
  ///   - stride: from one row to the next of `target`, `beside`, `initial` and `residual`, the last two of which may be the
  ///     target.
  ///   - following: the weights of the next product, which are asked for meanwhile.
  public init(
    left: ConstantFloats, leftStride: Int, rows: Int, depth: Int, weights: ConstantFloats, columns: Int,
    beside: Floats?, initial: ConstantFloats?, residual: ConstantFloats?, bias: ConstantFloats?,
    bounds: Bounds,
    target: Floats, stride: Int, following: ConstantFloats
  ) {
    self.left = left
    self.leftStride = leftStride
    self.rows = rows
    self.depth = depth
    self.weights = weights
    self.columns = columns
    self.beside = beside
    self.initial = initial
    self.residual = residual
    self.bias = bias
    self.bounds = bounds
    self.target = target
    self.stride = stride
    self.following = following
  }
}

public enum StrassenKernels {
  /// The four matrices of sums of a block of pixels `[upper + lower, 2 · count]`: for each row of its upper half,
  /// [a₁ a₂], and the row of the lower half that goes with it, [b₁ b₂],
  ///
  ///     s₁ = b₁ + b₂    s₂ = s₁ − a₁    s₃ = a₁ − b₁    s₄ = a₂ − s₂
  ///
  /// - Parameters:
  ///   - zeros: `2 · count` of them, for the row that the lower half may have less.
  ///   - target: rows begin `rowStride` apart, and matrices `stride`.
  /// - Returns: whether all of them are finite, as they are only where all of the block is.
  @inlinable @inline(__always)
  public static func sums<V: FloatVector>(
    _: V.Type, _ block: ConstantFloats, upper: Int, lower: Int, count: Int, zeros: ConstantFloats,
    to target: Floats,
    rowStride: Int, stride: Int
  ) -> Bool {
    // x − x is 0 for every finite number.
    var (difference, rest) = (V(repeating: 0), Float(0))
    @inline(__always) func sum<W: FloatVector>(
      _ a: ConstantFloats, _ b: ConstantFloats, _ target: Floats, _ difference: inout W
    ) {
      let (a1, a2, b1, b2) = (W.load(a), W.load(a + count), W.load(b), W.load(b + count))
      let s1 = b1 + b2
      let s2 = s1 - a1
      let s4 = a2 - s2
      s1.store(target)
      s2.store(target + stride)
      (a1 - b1).store(target + 2 &* stride)
      s4.store(target + 3 &* stride)
      difference = difference + (s4 - s4)
    }
    var row = 0
    while row < upper {
      let a = block + row &* 2 &* count
      let b = row < lower ? a + upper &* 2 &* count : zeros
      let to = target + row &* rowStride
      ChannelKernels.forEach(
        V.self, count, whole: { sum(a + $0, b + $0, to + $0, &difference) },
        single: { sum(a + $0, b + $0, to + $0, &rest) })
      row &+= 1
    }
    return ChannelKernels.isZero(difference, rest)
  }

  /// A product, in parts of its depth as ``MatrixKernel`` takes them.
  @inlinable @inline(__always)
  public static func multiply<V: FloatVector>(_: V.Type, _ product: UnsafePointer<StrassenProduct>) {
    let product = product.pointee
    let width = MatrixKernel.panelColumns(V.self)
    var k = 0
    repeat {
      let depth = min(MatrixKernel.depthAtOnce, product.depth &- k)
      let isFirst = k == 0
      let isLast = k &+ depth == product.depth
      let weights = product.weights + k &* width
      let following = isLast ? product.following : weights + depth &* width
      let panelStride = product.depth &* width
      // What has been added so far lies in the target; the residual comes from further away than X and Y.
      let residual = isFirst ? product.residual : nil
      let initial = isFirst ? product.initial : ConstantFloats(product.target)
      let other = residual == nil ? nil : initial
      let result = PanelResult(
        product.target, stride: product.stride, initial: residual ?? initial, scale: nil,
        bias: isLast ? product.bias : nil, bounds: isLast ? product.bounds : .none)
      var column = 0
      var panel = weights
      while column < product.columns {
        let edge = JoiningPanel<V>(
          result.advanced(by: column), and: other.map { $0 + column },
          beside: product.beside.map { $0 + column })
        MatrixKernel.multiplyPanel(
          FloatPanels<V>.self, product.left + k, product.leftStride, product.rows, depth, segment: depth, 0,
          panel,
          next: column &+ width < product.columns ? panelStride : following - panel, edge)
        column &+= width
        panel += panelStride
      }
      k &+= depth
    } while k < product.depth
  }
}

/// All columns of a panel, whose sums are added to two matrices.
public struct JoiningPanel<Vector: FloatVector>: TileEdge {
  @usableFromInline let panel: WholePanel<Vector>
  /// Added to the result, beside what it begins with.
  @usableFromInline let other: ConstantFloats?
  /// The other matrix that the sums are added to.
  @usableFromInline let beside: Floats?

  @inlinable @inline(__always)
  init(_ result: PanelResult, and other: ConstantFloats?, beside: Floats?) {
    panel = WholePanel(result)
    self.other = other
    self.beside = beside
  }

  @inlinable @inline(__always)
  public var stride: Int { panel.stride }

  @inlinable @inline(__always)
  public func initial(_ start: Int) -> (Vector, Vector) { (Vector(repeating: 0), Vector(repeating: 0)) }

  @inlinable @inline(__always)
  public func fetch(_ start: Int, rows: Int) { panel.fetch(start, rows: rows) }

  @inlinable @inline(__always)
  public func write(_ s0: Vector, _ s1: Vector, _ start: Int) {
    let second = start &+ Vector.scalarCount
    if let beside {
      (Vector.load(beside + start) + s0).store(beside + start)
      (Vector.load(beside + second) + s1).store(beside + second)
    }
    let (initial0, initial1) = panel.initial(start)
    var (r0, r1) = (s0 + initial0, s1 + initial1)
    if let other {
      r0 = r0 + Vector.load(other + start)
      r1 = r1 + Vector.load(other + second)
    }
    panel.write(r0, r1, start)
  }
}
