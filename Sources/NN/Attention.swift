// Channel attention, with the names of timm: a gate for each channel of each image, made from the means of
// all channels.

/// Squeeze and excitation, as timm's SEModule (Hu et al. 2017, arXiv:1709.01507).
public struct SqueezeExcitation: Module {
  public let path: String
  private let fc1: Conv2d
  private let fc2: Conv2d

  /// - Parameters:
  ///   - channels: channels of input and output.
  ///   - reduced: channels between the two convolutions.
  public init(_ scope: Scope, _ channels: Int, reduced: Int) {
    path = scope.path
    fc1 = Conv2d(scope["fc1"], channels, reduced, kernel: 1)
    fc2 = Conv2d(scope["fc2"], reduced, channels, kernel: 1)
  }

  public func forward(_ x: Value) -> Value { x * sigmoid(fc2(relu(fc1(squeeze(x))))) }
}

/// A gate that sees some neighbouring channels, as timm's EcaModule (Wang et al. 2019, "ECA-Net",
/// arXiv:1910.03151).
public struct EfficientChannelAttention: Module {
  public let path: String
  private let operation: ChannelConvolution

  /// - Parameter kernel: how many neighbouring channels a gate is made from, an odd number.
  public init(_ scope: Scope, kernel: Int) {
    path = scope.path
    operation = ChannelConvolution(
      weight: scope["conv"].declare("weight", [1, 1, kernel], .uniformFanIn(inputs: kernel)), kernel: kernel)
  }

  public func forward(_ x: Value) -> Value {
    x * sigmoid(squeeze(x).applying(.channelConvolution(operation)))
  }
}

/// The mean of each channel, `[N, C, H, W]` → `[N, C, 1, 1]`.
private func squeeze(_ x: Value) -> Value { x.applying(.adaptiveAvgPool2d(height: 1, width: 1)) }
