// A network as the list of its operations, recorded by calling its modules with a symbolic value.
// Running, exporting and counting are readers of this list.

/// One operation on tensors. Image tensors are `[N, C, H, W]`.
public enum Operation: Sendable, Equatable {
  /// What the graph is called with.
  case input
  /// A convolution, with its bias if it has one.
  case conv2d(Convolution)
  /// Normalisation of each channel by its running statistics.
  case batchNorm2d(BatchNormalization)
  /// Normalisation of groups of channels by the statistics of each image.
  case groupNorm(GroupNormalization)
  /// A product with a matrix: `[N, in]` → `[N, out]`.
  case linear(FullyConnected)
  /// `max(x, 0)`.
  case relu
  /// `min(max(x, 0), 6)`.
  case relu6
  /// `1 / (1 + exp(−x))`.
  case sigmoid
  /// The sum of two tensors of the same shape.
  case add
  /// `[N, C, H, W]` times `[N, C, 1, 1]`: a factor for each channel of each image.
  case multiply
  /// The largest element of each window.
  case maxPool2d(Window)
  /// The mean of each window: of all its elements, or of those that are not padding.
  case avgPool2d(Window, countIncludePad: Bool)
  /// The mean of each window over an input that is padded with zeros until there is a window for every
  /// `stride` elements; an odd one of them goes behind. They count.
  case avgPool2dSame(kernel: Int, stride: Int)
  /// Means over as many windows as the result is to have.
  case adaptiveAvgPool2d(height: Int, width: Int)
  /// Each window of 3 × 3 weighted by `[1, 2, 1] ⊗ [1, 2, 1] / 16`; padding reflects the input.
  case blurPool2d(Window)
  /// A convolution along the channels of `[N, C, 1, 1]`.
  case channelConvolution(ChannelConvolution)
  /// Every `stride`th pixel, with channels of zeros.
  case subsample(Subsampling)
  /// `[N, C, H, W]` → `[N, C·H·W]`.
  case flatten

  /// The names of the parameters that it takes.
  public var parameterNames: [String] {
    switch self {
    case .conv2d(let convolution): [convolution.weight] + (convolution.bias.map { [$0] } ?? [])
    case .batchNorm2d(let norm): [norm.weight, norm.bias, norm.mean, norm.variance]
    case .groupNorm(let norm): [norm.weight, norm.bias]
    case .linear(let layer): [layer.weight] + (layer.bias.map { [$0] } ?? [])
    case .channelConvolution(let convolution): [convolution.weight]
    default: []
    }
  }
}

/// The window of a convolution or pooling, the same along height and width.
public struct Window: Sendable, Equatable {
  /// Elements along each side.
  public let kernel: Int
  /// The step from one window to the next.
  public let stride: Int
  /// Elements added on every side of the input.
  public let padding: Int
  /// The step from one element of the window to the next.
  public let dilation: Int
  /// Whether the last window may begin in the input, or in the padding before it, and end behind the
  /// padding.
  public let ceilMode: Bool

  /// A window of `kernel` × `kernel` elements.
  public init(kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1, ceilMode: Bool = false) {
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.ceilMode = ceilMode
  }

  /// How many windows there are along a dimension of `size` elements: 0 when none fits.
  public func count(_ size: Int) -> Int {
    let room = size + 2 * padding - dilation * (kernel - 1) - 1 + (ceilMode ? stride - 1 : 0)
    guard room >= 0 else { return 0 }
    let last = room / stride
    return ceilMode && last * stride >= size + padding ? last : last + 1
  }
}

/// A convolution's numbers and the names of its parameters.
public struct Convolution: Sendable, Equatable {
  /// The name of the weight, `[out, in / groups, kernel, kernel]`.
  public let weight: String
  /// The name of the bias, `[out]`.
  public let bias: String?
  /// Channels of the input.
  public let inChannels: Int
  /// Channels of the output.
  public let outChannels: Int
  /// The kernel's size, step, padding and dilation.
  public let window: Window
  /// Into how many independent convolutions the channels are divided.
  public let groups: Int

  /// A convolution with parameters of these names.
  public init(
    weight: String, bias: String?, inChannels: Int, outChannels: Int, window: Window, groups: Int = 1
  ) {
    self.weight = weight
    self.bias = bias
    self.inChannels = inChannels
    self.outChannels = outChannels
    self.window = window
    self.groups = groups
  }
}

/// `(x − mean) / √(variance + eps) · weight + bias` for each channel, by the names of these parameters.
public struct BatchNormalization: Sendable, Equatable {
  /// The name of the weight, `[channels]`.
  public let weight: String
  /// The name of the bias, `[channels]`.
  public let bias: String
  /// The name of the running mean, `[channels]`.
  public let mean: String
  /// The name of the running variance, `[channels]`.
  public let variance: String
  /// Channels of input and output.
  public let channels: Int
  /// Added to the variance.
  public let eps: Double
}

/// `(x − mean) / √(variance + eps) · weight + bias`, where mean and variance are those of a group of
/// channels of an image.
public struct GroupNormalization: Sendable, Equatable {
  /// The name of the weight, `[channels]`.
  public let weight: String
  /// The name of the bias, `[channels]`.
  public let bias: String
  /// Channels of input and output.
  public let channels: Int
  /// Into how many groups the channels are divided.
  public let groups: Int
  /// Added to the variance.
  public let eps: Double
}

/// A convolution along the channels of `[N, C, 1, 1]`: one kernel, with zeros before the first channel
/// and behind the last.
public struct ChannelConvolution: Sendable, Equatable {
  /// The name of the weight, `[1, 1, kernel]`.
  public let weight: String
  /// Elements of the kernel, an odd number.
  public let kernel: Int
}

/// Every `stride`th pixel along height and width, with channels of zeros before and behind the others.
public struct Subsampling: Sendable, Equatable {
  /// The step from one pixel to the next.
  public let stride: Int
  /// Channels of the input.
  public let inChannels: Int
  /// Channels of the output.
  public let outChannels: Int

  /// Channels of zeros before those of the input; the rest of the new ones comes behind.
  public var channelsBefore: Int { (outChannels - inChannels) / 2 }
}

/// `x · weightᵀ + bias`, by the names of these parameters.
public struct FullyConnected: Sendable, Equatable {
  /// The name of the weight, `[out, in]`.
  public let weight: String
  /// The name of the bias, `[out]`.
  public let bias: String?
  /// Features of the input.
  public let inFeatures: Int
  /// Features of the output.
  public let outFeatures: Int
}

/// A recorded network.
public struct Graph: Sendable {
  /// An operation and the nodes whose results it takes, which all stand before it.
  public struct Node: Sendable {
    /// What is computed.
    public let operation: Operation
    /// The nodes that it takes, in order.
    public let inputs: [Int]
    /// The path of the module that recorded it: the innermost one that was being called.
    public let module: String

    package init(operation: Operation, inputs: [Int], module: String) {
      self.operation = operation
      self.inputs = inputs
      self.module = module
    }
  }

  /// All nodes; the first is the input.
  public private(set) var nodes: [Node]
  /// Which node gives the output.
  public private(set) var output: Int
  /// The nodes that are the outputs of modules, by the modules' paths.
  public private(set) var names: [String: Int]

  /// A network whose nodes are in order already.
  package init(nodes: [Node], output: Int, names: [String: Int]) {
    self.nodes = nodes
    self.output = output
    self.names = names
  }

  /// Records what `network` does with one input.
  public init(recording network: (Value) -> Value) {
    let recorder = Recorder()
    let input = Value(node: recorder.append(.input, []), recorder: recorder)
    output = network(input).node
    nodes = recorder.nodes
    names = recorder.names
  }

  /// The path of the module that `node` is the output of; the outermost one's if several end there.
  public func name(of node: Int) -> String? {
    names.filter { $0.value == node }.map(\.key).min { ($0.count, $0) < ($1.count, $1) }
  }

  fileprivate final class Recorder {
    var nodes: [Node] = []
    var names: [String: Int] = [:]
    /// The path of the module that is being called.
    var module = ""

    func append(_ operation: Operation, _ inputs: [Int]) -> Int {
      nodes.append(Node(operation: operation, inputs: inputs, module: module))
      return nodes.count - 1
    }
  }
}

/// A tensor that is yet to be computed: the result of an operation in a graph being recorded.
public struct Value {
  fileprivate let node: Int
  fileprivate let recorder: Graph.Recorder

  /// The result of `operation` on this value.
  public func applying(_ operation: Operation) -> Value {
    Value(node: recorder.append(operation, [node]), recorder: recorder)
  }

  /// The elementwise sum.
  public static func + (a: Value, b: Value) -> Value { a.applying(.add, with: b) }

  /// `[N, C, H, W]` times a gate `[N, C, 1, 1]`: each channel of each image by its factor.
  public static func * (x: Value, gate: Value) -> Value { x.applying(.multiply, with: gate) }

  private func applying(_ operation: Operation, with other: Value) -> Value {
    Value(node: recorder.append(operation, [node, other.node]), recorder: recorder)
  }

  /// What the module at `path` makes of this value by `forward`, noted as its output.
  func passing(_ path: String, _ forward: (Value) -> Value) -> Value {
    let caller = recorder.module
    recorder.module = path
    defer { recorder.module = caller }
    let result = forward(self)
    if !path.isEmpty { recorder.names[path] = result.node }
    return result
  }
}
