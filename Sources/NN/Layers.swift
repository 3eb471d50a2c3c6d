// The layers, with the names and defaults of torch.nn. Each declares its parameters where it is
// made and records one operation when it is called.

/// A two-dimensional convolution, as torch.nn.Conv2d: `[N, in, H, W]` → `[N, out, H', W']`.
public struct Conv2d: Module {
  public let path: String
  private let operation: Convolution

  /// - Parameters:
  ///   - inChannels: channels of the input.
  ///   - outChannels: channels of the output.
  ///   - kernel: height and width of the kernel.
  public init(
    _ scope: Scope, _ inChannels: Int, _ outChannels: Int, kernel: Int, stride: Int = 1, padding: Int = 0,
    dilation: Int = 1, groups: Int = 1, bias: Bool = true
  ) {
    path = scope.path
    let inputs = inChannels / groups
    operation = Convolution(
      weight: scope.declare("weight", [outChannels, inputs, kernel, kernel], .kaimingNormalFanOut),
      bias: bias
        ? scope.declare("bias", [outChannels], .uniformFanIn(inputs: inputs * kernel * kernel)) : nil,
      inChannels: inChannels, outChannels: outChannels,
      window: Window(kernel: kernel, stride: stride, padding: padding, dilation: dilation), groups: groups)
  }

  public func forward(_ x: Value) -> Value { x.applying(.conv2d(operation)) }
}

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

/// A fully connected layer, as torch.nn.Linear: `[N, in]` → `[N, out]`.
public struct Linear: Module {
  public let path: String
  private let operation: FullyConnected

  /// - Parameters:
  ///   - inFeatures: features of the input.
  ///   - outFeatures: features of the output.
  public init(_ scope: Scope, _ inFeatures: Int, _ outFeatures: Int, bias: Bool = true) {
    path = scope.path
    operation = FullyConnected(
      weight: scope.declare("weight", [outFeatures, inFeatures], .uniformFanIn(inputs: inFeatures)),
      bias: bias ? scope.declare("bias", [outFeatures], .uniformFanIn(inputs: inFeatures)) : nil,
      inFeatures: inFeatures, outFeatures: outFeatures)
  }

  public func forward(_ x: Value) -> Value { x.applying(.linear(operation)) }
}

/// The largest value of each window, as torch.nn.MaxPool2d.
public struct MaxPool2d: Module {
  public let path: String
  private let window: Window

  /// - Parameter kernel: height and width of the window; `stride` is the same unless given.
  public init(_ scope: Scope, kernel: Int, stride: Int? = nil, padding: Int = 0) {
    path = scope.path
    window = Window(kernel: kernel, stride: stride ?? kernel, padding: padding)
  }

  public func forward(_ x: Value) -> Value { x.applying(.maxPool2d(window)) }
}

/// The mean of each window, as torch.nn.AvgPool2d; padding counts as zeros.
public struct AvgPool2d: Module {
  public let path: String
  private let window: Window

  /// - Parameter kernel: height and width of the window; `stride` is the same unless given.
  public init(_ scope: Scope, kernel: Int, stride: Int? = nil, padding: Int = 0) {
    path = scope.path
    window = Window(kernel: kernel, stride: stride ?? kernel, padding: padding)
  }

  public func forward(_ x: Value) -> Value { x.applying(.avgPool2d(window)) }
}

/// Means over as many windows as the output is to have, as torch.nn.AdaptiveAvgPool2d.
public struct AdaptiveAvgPool2d: Module {
  public let path: String
  private let size: (height: Int, width: Int)

  /// - Parameter size: height and width of the output.
  public init(_ scope: Scope, _ size: (height: Int, width: Int) = (1, 1)) {
    path = scope.path
    self.size = size
  }

  public func forward(_ x: Value) -> Value {
    x.applying(.adaptiveAvgPool2d(height: size.height, width: size.width))
  }
}

/// `max(x, 0)`, as torch.nn.ReLU.
public struct ReLU: Module {
  public let path: String

  /// The layer at `scope`.
  public init(_ scope: Scope) { path = scope.path }

  public func forward(_ x: Value) -> Value { relu(x) }
}

/// `max(x, 0)`.
public func relu(_ x: Value) -> Value { x.applying(.relu) }

/// `[N, C, H, W]` → `[N, C·H·W]`, as torch.flatten(x, 1).
public func flatten(_ x: Value) -> Value { x.applying(.flatten) }
