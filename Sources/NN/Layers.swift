// Layers with weights and what goes between them, with the names and defaults of torch.nn. Each declares
// its parameters where it is made and records one operation when it is called.

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
    // What doesn't fit is an error of `Graph.shapes`.
    let inputs = inChannels / max(groups, 1)
    operation = Convolution(
      weight: scope.declare("weight", [outChannels, inputs, kernel, kernel], .kaimingNormalFanOut),
      bias: bias
        ? scope.declare("bias", [outChannels], .uniformFanIn(inputs: inputs * kernel * kernel)) : nil,
      inChannels: inChannels, outChannels: outChannels,
      window: Window(kernel: kernel, stride: stride, padding: padding, dilation: dilation), groups: groups)
  }

  public func forward(_ x: Value) -> Value { x.applying(.conv2d(operation)) }
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

/// `max(x, 0)`, as torch.nn.ReLU.
public struct ReLU: Module {
  public let path: String

  /// The layer at `scope`.
  public init(_ scope: Scope) { path = scope.path }

  public func forward(_ x: Value) -> Value { relu(x) }
}

/// `min(max(x, 0), 6)`, as torch.nn.ReLU6.
public struct ReLU6: Module {
  public let path: String

  /// The layer at `scope`.
  public init(_ scope: Scope) { path = scope.path }

  public func forward(_ x: Value) -> Value { relu6(x) }
}

/// `1 / (1 + exp(−x))`, as torch.nn.Sigmoid.
public struct Sigmoid: Module {
  public let path: String

  /// The layer at `scope`.
  public init(_ scope: Scope) { path = scope.path }

  public func forward(_ x: Value) -> Value { sigmoid(x) }
}

/// Its input, as torch.nn.Identity.
public struct Identity: Module {
  public let path: String

  /// The layer at `scope`.
  public init(_ scope: Scope) { path = scope.path }

  public func forward(_ x: Value) -> Value { x }
}

/// Its input, as torch.nn.Dropout in eval mode: nothing is dropped when a network is run.
public struct Dropout: Module {
  public let path: String

  /// - Parameter p: the share of elements that training sets to zero; it changes nothing here.
  public init(_ scope: Scope, p: Double = 0.5) { path = scope.path }

  public func forward(_ x: Value) -> Value { x }
}

/// `max(x, 0)`.
public func relu(_ x: Value) -> Value { x.applying(.relu) }

/// `min(max(x, 0), 6)`.
public func relu6(_ x: Value) -> Value { x.applying(.relu6) }

/// `1 / (1 + exp(−x))`.
public func sigmoid(_ x: Value) -> Value { x.applying(.sigmoid) }

/// `[N, C, H, W]` → `[N, C·H·W]`, as torch.flatten(x, 1).
public func flatten(_ x: Value) -> Value { x.applying(.flatten) }
