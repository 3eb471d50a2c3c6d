// The kernels of one instruction set, as functions to call.

/// Kernels that were compiled for one instruction set.
///
/// Every function is written once, generic over the vector, and inlined into the few targets that
/// make such a table. Those targets differ in the compiler's `-march` alone, and each uses another
/// vector type, so that no function compiled for one instruction set can be linked into another. For the
/// same reason this is a class: the code that copies a large struct is shared by all targets.
public final class VectorKernels: Sendable {
  /// The instruction set, such as `AVX2`.
  public let name: String
  /// Floats in a vector.
  public let width: Int

  /// The transforms of F(2×2, 3×3).
  public let winograd2: WinogradFunctions
  /// The transforms of F(4×4, 3×3).
  public let winograd4: WinogradFunctions
  /// The transforms of F(2×2, 3×3) of stride 2.
  public let winogradStrided2: WinogradFunctions
  /// The transforms of F(3×3, 4×4).
  public let winograd3: WinogradFunctions
  /// ``PhaseKernel/run(_:_:)``.
  public let phases: @Sendable (_ tiles: UnsafePointer<PhaseTiles>) -> Void
  /// ``ChannelKernels/epilogue(_:_:rows:columns:stride:bias:residual:bounds:)``.
  public let epilogue:
    @Sendable (
      _ matrix: Floats, _ rows: Int, _ columns: Int, _ stride: Int, _ bias: ConstantFloats,
      _ residual: ConstantFloats?, _ bounds: Bounds
    ) -> Void
  /// ``ChannelKernels/add(_:_:_:count:bounds:to:)``.
  public let add:
    @Sendable (_ a: ConstantFloats, _ b: ConstantFloats, _ count: Int, _ bounds: Bounds, _ target: Floats)
      -> Void
  /// ``ChannelKernels/affine(_:_:pixels:channels:scale:shift:residual:bounds:to:)``.
  public let affine:
    @Sendable (
      _ source: ConstantFloats, _ pixels: Int, _ channels: Int, _ scale: ConstantFloats,
      _ shift: ConstantFloats?, _ residual: ConstantFloats?, _ bounds: Bounds, _ target: Floats
    ) -> Void
  /// ``ChannelKernels/normalize(_:_:pixels:channels:center:scale:shift:residual:bounds:to:)``.
  public let normalize:
    @Sendable (
      _ source: ConstantFloats, _ pixels: Int, _ channels: Int, _ center: ConstantFloats,
      _ scale: ConstantFloats, _ shift: ConstantFloats, _ residual: ConstantFloats?, _ bounds: Bounds,
      _ target: Floats
    ) -> Void
  /// ``ChannelKernels/limit(_:_:count:bounds:to:)``.
  public let limit:
    @Sendable (_ source: ConstantFloats, _ count: Int, _ bounds: Bounds, _ target: Floats) -> Void
  /// ``ChannelKernels/maximum(_:_:rows:columns:rowStride:channels:to:)``.
  public let maximum:
    @Sendable (
      _ source: ConstantFloats, _ rows: Int, _ columns: Int, _ rowStride: Int, _ channels: Int,
      _ target: Floats
    ) -> Void
  /// ``ChannelKernels/sum(_:_:rows:columns:rowStride:channels:scale:to:)``.
  public let sum:
    @Sendable (
      _ source: ConstantFloats, _ rows: Int, _ columns: Int, _ rowStride: Int, _ channels: Int,
      _ scale: Float,
      _ target: Floats
    ) -> Void
  /// ``ChannelKernels/blur(_:_:channels:to:)``.
  public let blur:
    @Sendable (_ pixels: UnsafePointer<ConstantFloats>, _ channels: Int, _ target: Floats) -> Void
  /// ``StatisticsKernels/sums(_:_:pixels:channels:block:to:)``.
  public let sums:
    @Sendable (
      _ source: ConstantFloats, _ pixels: Int, _ channels: Int, _ block: Floats,
      _ sums: UnsafeMutablePointer<Double>
    ) -> Void
  /// ``StatisticsKernels/moments(_:_:pixels:channels:block:means:squares:)``.
  public let moments:
    @Sendable (
      _ source: ConstantFloats, _ pixels: Int, _ channels: Int, _ block: Floats,
      _ means: UnsafeMutablePointer<Double>, _ squares: UnsafeMutablePointer<Double>
    ) -> Void
  /// ``ChannelKernels/isFinite(_:_:count:)``.
  public let isFinite: @Sendable (_ source: ConstantFloats, _ count: Int) -> Bool
  /// ``ChannelKernels/copy(_:_:count:to:)``.
  public let copy: @Sendable (_ source: ConstantFloats, _ count: Int, _ target: Floats) -> Void

  /// Columns of a panel of packed weights.
  public let panelColumns: Int
  /// Rows of a whole tile of a matrix product.
  public let tileRows: Int
  /// ``MatrixKernel``'s `multiply` with ``FloatPanels``.
  public let multiply:
    @Sendable (
      _ left: ConstantFloats, _ leftStride: Int, _ rows: Int, _ depth: Int, _ weights: ConstantFloats,
      _ columns: Int, _ bias: ConstantFloats?, _ residual: ConstantFloats?, _ bounds: Bounds,
      _ target: Floats, _ stride: Int, _ following: ConstantFloats
    ) -> Void
  /// ``MatrixKernel``'s `multiply` with ``FloatPanelsOfSegments``.
  public let multiplySegments:
    @Sendable (
      _ left: ConstantFloats, _ leftStride: Int, _ rows: Int, _ depth: Int, _ segments: Int,
      _ segmentStride: Int, _ weights: ConstantFloats, _ columns: Int, _ bias: ConstantFloats?,
      _ residual: ConstantFloats?, _ bounds: Bounds, _ target: Floats, _ stride: Int,
      _ following: ConstantFloats
    ) -> Void
  /// ``MatrixKernel``'s `multiply` with ``BFloat16Panels``.
  public let multiplyBFloat16:
    @Sendable (
      _ left: ConstantFloats, _ leftStride: Int, _ rows: Int, _ depth: Int, _ weights: ConstantFloats,
      _ columns: Int, _ scale: ConstantFloats, _ bias: ConstantFloats?, _ residual: ConstantFloats?,
      _ bounds: Bounds, _ target: Floats, _ stride: Int, _ following: ConstantFloats
    ) -> Void

  /// ``StrassenKernels/sums(_:_:upper:lower:count:zeros:to:rowStride:stride:)``.
  public let strassenSums:
    @Sendable (
      _ block: ConstantFloats, _ upper: Int, _ lower: Int, _ count: Int, _ zeros: ConstantFloats,
      _ target: Floats,
      _ rowStride: Int, _ stride: Int
    ) -> Bool
  /// ``StrassenKernels/multiply(_:_:)``.
  public let strassenMultiply: @Sendable (_ product: UnsafePointer<StrassenProduct>) -> Void

  /// ``DepthwiseKernel/run(_:_:)``.
  public let depthwise: @Sendable (_ row: UnsafePointer<DepthwiseRow>) -> Void

  /// ``PeakKernel/run(_:rounds:_:to:)``.
  public let peak: @Sendable (_ rounds: Int, _ factor: Float, _ target: Floats) -> Void

  /// All kernels for one vector. Must be inlined into the target whose `-march` they are for.
  @inlinable @inline(__always)
  public init<V: FloatVector>(_ name: String, _: V.Type) {
    self.name = name
    width = V.scalarCount
    winograd2 = WinogradFunctions(V.self, WinogradF2.self)
    winograd4 = WinogradFunctions(V.self, WinogradF4.self)
    winogradStrided2 = WinogradFunctions(V.self, WinogradStrided2.self)
    winograd3 = WinogradFunctions(V.self, WinogradF3.self)
    phases = { PhaseKernel.run(V.self, $0) }
    epilogue = {
      ChannelKernels.epilogue(
        V.self, $0, rows: $1, columns: $2, stride: $3, bias: $4, residual: $5, bounds: $6)
    }
    add = { ChannelKernels.add(V.self, $0, $1, count: $2, bounds: $3, to: $4) }
    affine = {
      ChannelKernels.affine(
        V.self, $0, pixels: $1, channels: $2, scale: $3, shift: $4, residual: $5, bounds: $6, to: $7)
    }
    normalize = {
      ChannelKernels.normalize(
        V.self, $0, pixels: $1, channels: $2, center: $3, scale: $4, shift: $5, residual: $6, bounds: $7,
        to: $8)
    }
    limit = { ChannelKernels.limit(V.self, $0, count: $1, bounds: $2, to: $3) }
    maximum = {
      ChannelKernels.maximum(V.self, $0, rows: $1, columns: $2, rowStride: $3, channels: $4, to: $5)
    }
    sum = {
      ChannelKernels.sum(
        V.self, $0, rows: $1, columns: $2, rowStride: $3, channels: $4, scale: $5, to: $6)
    }
    blur = { ChannelKernels.blur(V.self, $0, channels: $1, to: $2) }
    sums = { StatisticsKernels.sums(V.self, $0, pixels: $1, channels: $2, block: $3, to: $4) }
    moments = {
      StatisticsKernels.moments(
        V.self, $0, pixels: $1, channels: $2, block: $3, means: $4, squares: $5)
    }
    panelColumns = MatrixKernel.panelColumns(V.self)
    tileRows = MatrixKernel.tileRows(V.self)
    multiply = {
      MatrixKernel.multiply(
        FloatPanels<V>.self, $0, leftStride: $1, rows: $2, depth: $3, weights: $4, columns: $5, bias: $6,
        residual: $7, bounds: $8, to: $9, stride: $10, following: $11)
    }
    multiplySegments = {
      MatrixKernel.multiply(
        FloatPanelsOfSegments<V>.self, $0, leftStride: $1, rows: $2, depth: $3, segments: $4,
        segmentStride: $5, weights: $6, columns: $7, bias: $8, residual: $9, bounds: $10, to: $11,
        stride: $12, following: $13)
    }
    multiplyBFloat16 = {
      MatrixKernel.multiply(
        BFloat16Panels<V>.self, $0, leftStride: $1, rows: $2, depth: $3, weights: $4, columns: $5,
        scale: $6, bias: $7, residual: $8, bounds: $9, to: $10, stride: $11, following: $12)
    }
    strassenSums = {
      StrassenKernels.sums(
        V.self, $0, upper: $1, lower: $2, count: $3, zeros: $4, to: $5, rowStride: $6, stride: $7)
    }
    strassenMultiply = { StrassenKernels.multiply(V.self, $0) }
    depthwise = { DepthwiseKernel.run(V.self, $0) }
    peak = { PeakKernel.run(V.self, rounds: $0, $1, to: $2) }
    isFinite = { ChannelKernels.isFinite(V.self, $0, count: $1) }
    copy = { ChannelKernels.copy(V.self, $0, count: $1, to: $2) }
  }
}

/// The transforms of one of Winograd's algorithms, compiled for one instruction set.
public final class WinogradFunctions: Sendable {
  /// ``WinogradKernels/input(_:_:channels:to:stride:)``.
  public let input:
    @Sendable (
      _ pixels: UnsafePointer<ConstantFloats>, _ channels: Int, _ target: Floats, _ stride: Int
    ) -> Void
  /// ``WinogradKernels/weights(_:_:count:to:stride:scratch:)``.
  public let weights:
    @Sendable (
      _ taps: ConstantFloats, _ count: Int, _ target: Floats, _ stride: Int, _ scratch: Floats
    ) -> Void
  /// ``WinogradKernels/output(_:_:stride:channels:bias:residual:bounds:to:)``.
  public let output:
    @Sendable (
      _ source: ConstantFloats, _ stride: Int, _ channels: Int, _ bias: ConstantFloats,
      _ residual: UnsafePointer<ConstantFloats>?, _ bounds: Bounds, _ pixels: UnsafePointer<Floats>
    ) -> Void

  /// Must be inlined, as what makes ``VectorKernels`` must.
  @inlinable @inline(__always)
  init<V: FloatVector, T: WinogradTransforms>(_: V.Type, _: T.Type) {
    input = { WinogradKernels<T>.input(V.self, $0, channels: $1, to: $2, stride: $3) }
    weights = { WinogradKernels<T>.weights(V.self, $0, count: $1, to: $2, stride: $3, scratch: $4) }
    output = {
      WinogradKernels<T>.output(
        V.self, $0, stride: $1, channels: $2, bias: $3, residual: $4, bounds: $5, to: $6)
    }
  }
}
