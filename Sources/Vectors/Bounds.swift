// The activations that are done while a result is at hand: ReLU and ReLU6 keep it within bounds.

/// What results are limited to.
public struct Bounds: Sendable, Equatable {
  /// What results are raised to.
  public let floor: Float
  /// What results are lowered to.
  public let ceiling: Float

  @inlinable @inline(__always)
  public init(floor: Float, ceiling: Float) {
    self.floor = floor
    self.ceiling = ceiling
  }

  /// Every result as it is.
  @inlinable @inline(__always)
  public static var none: Bounds { Bounds(floor: -.infinity, ceiling: .infinity) }
  /// `max(x, 0)`.
  @inlinable @inline(__always)
  public static var relu: Bounds { Bounds(floor: 0, ceiling: .infinity) }
  /// `min(max(x, 0), 6)`.
  @inlinable @inline(__always)
  public static var relu6: Bounds { Bounds(floor: 0, ceiling: 6) }
}

extension FloatVector {
  /// Each lane within the bounds. NaN stays NaN, as in PyTorch.
  @inlinable @inline(__always)
  public func within(_ bounds: Bounds) -> Self {
    atLeast(Self(repeating: bounds.floor)).atMost(Self(repeating: bounds.ceiling))
  }
}
