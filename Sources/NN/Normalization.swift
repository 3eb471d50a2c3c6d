// Normalisation of channels, with the names and defaults of torch.nn.

/// Batch normalisation with its running statistics, as torch.nn.BatchNorm2d in eval mode.
public struct BatchNorm2d: Module {
  public let path: String
  private let operation: BatchNormalization

  /// - Parameter channels: channels of input and output.
  public init(_ scope: Scope, _ channels: Int, eps: Double = 1e-5) {
    path = scope.path
    operation = BatchNormalization(
      weight: scope.declare("weight", [channels], .ones), bias: scope.declare("bias", [channels], .zeros),
      mean: scope.declare("running_mean", [channels], .zeros, isBuffer: true),
      variance: scope.declare("running_var", [channels], .ones, isBuffer: true), channels: channels, eps: eps)
    scope.declare("num_batches_tracked", [], .count, isBuffer: true, isOptional: true)
  }

  public func forward(_ x: Value) -> Value { x.applying(.batchNorm2d(operation)) }
}

/// Normalisation of groups of channels by the statistics of each image, as torch.nn.GroupNorm on
/// `[N, C, H, W]` (Wu and He 2018, arXiv:1803.08494).
public struct GroupNorm: Module {
  public let path: String
  private let operation: GroupNormalization

  /// - Parameters:
  ///   - channels: channels of input and output.
  ///   - groups: into how many groups they are divided; torch.nn.GroupNorm has no default.
  public init(_ scope: Scope, _ channels: Int, groups: Int = 32, eps: Double = 1e-5) {
    path = scope.path
    operation = GroupNormalization(
      weight: scope.declare("weight", [channels], .ones), bias: scope.declare("bias", [channels], .zeros),
      channels: channels, groups: groups, eps: eps)
  }

  public func forward(_ x: Value) -> Value { x.applying(.groupNorm(operation)) }
}
