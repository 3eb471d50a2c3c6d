// What the kernels of this target are written for: a few Floats that are worked on at once. A kernel
// goes through the channels with the widest vector and does what is left over with single Floats.

public typealias Floats = UnsafeMutablePointer<Float>
public typealias ConstantFloats = UnsafePointer<Float>

/// Floats that are added and multiplied place by place.
public protocol FloatArithmetic: SendableMetatype {
  init(repeating value: Float)
  static func + (a: Self, b: Self) -> Self
  static func - (a: Self, b: Self) -> Self
  static func * (a: Self, b: Self) -> Self
  /// `self + a · b`, rounded once where the CPU can.
  func addingProductFast(_ a: Self, _ b: Self) -> Self
}

/// One or more Floats that are added, multiplied and compared lane by lane.
public protocol FloatVector: FloatArithmetic {
  static var scalarCount: Int { get }
  static func load(_ source: ConstantFloats) -> Self
  func store(_ target: Floats)
  /// Of `scalarCount` words that hold two bfloat16 each, those in the low halves and those in the high ones.
  static func loadPairs(_ source: ConstantFloats) -> (Self, Self)
  /// Each lane, or that of `bound` where it is larger. NaN stays NaN, as in PyTorch.
  func atLeast(_ bound: Self) -> Self
  /// Each lane, or that of `bound` where it is smaller. NaN stays NaN, as in PyTorch.
  func atMost(_ bound: Self) -> Self
  /// The larger of both lanes. NaN on either side wins, as in PyTorch.
  func maximum(_ other: Self) -> Self
}

extension Float: FloatVector {
  @inlinable @inline(__always) public static var scalarCount: Int { 1 }
  @inlinable @inline(__always) public init(repeating value: Float) { self = value }
  @inlinable @inline(__always) public static func load(_ source: ConstantFloats) -> Float { source.pointee }
  @inlinable @inline(__always) public func store(_ target: Floats) { target.pointee = self }
  @inlinable @inline(__always) public static func loadPairs(_ source: ConstantFloats) -> (Float, Float) {
    let word = source.pointee.bitPattern
    return (Float(bitPattern: word << 16), Float(bitPattern: word & 0xFFFF_0000))
  }
  @inlinable @inline(__always) public func addingProductFast(_ a: Float, _ b: Float) -> Float { self + a * b }
  @inlinable @inline(__always) public func atLeast(_ bound: Float) -> Float { self < bound ? bound : self }
  @inlinable @inline(__always) public func atMost(_ bound: Float) -> Float { self > bound ? bound : self }
  @inlinable @inline(__always) public func maximum(_ other: Float) -> Float {
    other > self || other != other ? other : self
  }
}

extension FloatVector where Self: SIMD, Scalar == Float {
  @inlinable @inline(__always) public static func load(_ source: ConstantFloats) -> Self {
    UnsafeRawPointer(source).loadUnaligned(as: Self.self)
  }
  @inlinable @inline(__always) public func store(_ target: Floats) {
    UnsafeMutableRawPointer(target).storeBytes(of: self, as: Self.self)
  }
}

// Comparisons and pairs are written for each type: generic over SIMD they would go lane by lane.

extension SIMD4: FloatArithmetic, FloatVector where Scalar == Float {
  @inlinable @inline(__always) public static func loadPairs(_ source: ConstantFloats) -> (Self, Self) {
    let words = UnsafeRawPointer(source).loadUnaligned(as: SIMD4<UInt32>.self)
    return (unsafeBitCast(words &<< 16, to: Self.self), unsafeBitCast(words & 0xFFFF_0000, to: Self.self))
  }
  @inlinable @inline(__always) public func addingProductFast(_ a: Self, _ b: Self) -> Self { self + a * b }
  @inlinable @inline(__always) public func atLeast(_ bound: Self) -> Self {
    replacing(with: bound, where: self .< bound)
  }
  @inlinable @inline(__always) public func atMost(_ bound: Self) -> Self {
    replacing(with: bound, where: self .> bound)
  }
  @inlinable @inline(__always) public func maximum(_ other: Self) -> Self {
    replacing(with: other, where: (other .> self) .| (other .!= other))
  }
}

extension SIMD8: FloatArithmetic, FloatVector where Scalar == Float {
  @inlinable @inline(__always) public static func loadPairs(_ source: ConstantFloats) -> (Self, Self) {
    let words = UnsafeRawPointer(source).loadUnaligned(as: SIMD8<UInt32>.self)
    return (unsafeBitCast(words &<< 16, to: Self.self), unsafeBitCast(words & 0xFFFF_0000, to: Self.self))
  }
  @inlinable @inline(__always) public func addingProductFast(_ a: Self, _ b: Self) -> Self {
    addingProduct(a, b)
  }
  @inlinable @inline(__always) public func atLeast(_ bound: Self) -> Self {
    replacing(with: bound, where: self .< bound)
  }
  @inlinable @inline(__always) public func atMost(_ bound: Self) -> Self {
    replacing(with: bound, where: self .> bound)
  }
  @inlinable @inline(__always) public func maximum(_ other: Self) -> Self {
    replacing(with: other, where: (other .> self) .| (other .!= other))
  }
}

extension SIMD16: FloatArithmetic, FloatVector where Scalar == Float {
  @inlinable @inline(__always) public static func loadPairs(_ source: ConstantFloats) -> (Self, Self) {
    let words = UnsafeRawPointer(source).loadUnaligned(as: SIMD16<UInt32>.self)
    return (unsafeBitCast(words &<< 16, to: Self.self), unsafeBitCast(words & 0xFFFF_0000, to: Self.self))
  }
  @inlinable @inline(__always) public func addingProductFast(_ a: Self, _ b: Self) -> Self {
    addingProduct(a, b)
  }
  @inlinable @inline(__always) public func atLeast(_ bound: Self) -> Self {
    replacing(with: bound, where: self .< bound)
  }
  @inlinable @inline(__always) public func atMost(_ bound: Self) -> Self {
    replacing(with: bound, where: self .> bound)
  }
  @inlinable @inline(__always) public func maximum(_ other: Self) -> Self {
    replacing(with: other, where: (other .> self) .| (other .!= other))
  }
}
