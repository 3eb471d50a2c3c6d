// Pooling, with the names and defaults of torch.nn and timm; none of it has parameters.

/// The largest value of each window, as torch.nn.MaxPool2d.
public struct MaxPool2d: Module {
  public let path: String
  private let window: Window

  /// - Parameters:
  ///   - kernel: height and width of the window; `stride` is the same unless given.
  ///   - ceilMode: whether the last window may end behind the padding.
  public init(_ scope: Scope, kernel: Int, stride: Int? = nil, padding: Int = 0, ceilMode: Bool = false) {
    path = scope.path
    window = Window(kernel: kernel, stride: stride ?? kernel, padding: padding, ceilMode: ceilMode)
  }

  public func forward(_ x: Value) -> Value { x.applying(.maxPool2d(window)) }
}

/// The mean of each window, as torch.nn.AvgPool2d.
public struct AvgPool2d: Module {
  public let path: String
  private let window: Window
  private let countIncludePad: Bool

  /// - Parameters:
  ///   - kernel: height and width of the window; `stride` is the same unless given.
  ///   - ceilMode: whether the last window may end behind the padding; what lies there never counts.
  ///   - countIncludePad: whether padding counts, as zeros.
  public init(
    _ scope: Scope, kernel: Int, stride: Int? = nil, padding: Int = 0, ceilMode: Bool = false,
    countIncludePad: Bool = true
  ) {
    path = scope.path
    window = Window(kernel: kernel, stride: stride ?? kernel, padding: padding, ceilMode: ceilMode)
    self.countIncludePad = countIncludePad
  }

  public func forward(_ x: Value) -> Value {
    x.applying(.avgPool2d(window, countIncludePad: countIncludePad))
  }
}

/// The mean of each window, as timm's AvgPool2dSame: the input is padded with zeros so that there is a
/// window for every `stride` pixels. The zeros count.
public struct AvgPool2dSame: Module {
  public let path: String
  private let operation: Operation

  /// - Parameter kernel: height and width of the window.
  public init(_ scope: Scope, kernel: Int, stride: Int) {
    path = scope.path
    operation = .avgPool2dSame(kernel: kernel, stride: stride)
  }

  public func forward(_ x: Value) -> Value { x.applying(operation) }
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

/// A blur before pixels are left out, as timm's BlurPool2d with its filter of 3 × 3 (Zhang 2019, "Making
/// convolutional networks shift-invariant again", arXiv:1904.11486).
public struct BlurPool2d: Module {
  public let path: String
  private let window: Window

  /// - Parameter stride: the step from one pixel that is kept to the next.
  public init(_ scope: Scope, stride: Int = 2) {
    path = scope.path
    window = Window(kernel: 3, stride: stride, padding: (stride + 1) / 2)
  }

  public func forward(_ x: Value) -> Value { x.applying(.blurPool2d(window)) }
}

/// The shortcut without parameters of He et al. 2015 for CIFAR (arXiv:1512.03385, section 4.2): every
/// `stride`th pixel, with channels of zeros.
public struct PaddedShortcut: Module {
  public let path: String
  private let operation: Subsampling

  /// - Parameters:
  ///   - inChannels: channels of the input.
  ///   - outChannels: channels of the output; half of the new ones come before those of the input.
  public init(_ scope: Scope, stride: Int, inChannels: Int, outChannels: Int) {
    path = scope.path
    operation = Subsampling(stride: stride, inChannels: inChannels, outChannels: outChannels)
  }

  public func forward(_ x: Value) -> Value { x.applying(.subsample(operation)) }
}
