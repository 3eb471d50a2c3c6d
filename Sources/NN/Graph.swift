// A network as the list of its operations, recorded by calling its modules with a symbolic value.
// Running, exporting and counting are readers of this list.

/// One operation on tensors. Image tensors are `[N, C, H, W]`.
public enum Operation: Sendable, Equatable {
  /// What the graph is called with.
  case input
  case conv2d(Convolution)
  case batchNorm2d(BatchNormalization)
  case linear(FullyConnected)
  case relu
  /// The sum of two tensors of the same shape.
  case add
  case maxPool2d(Window)
  case avgPool2d(Window)
  case adaptiveAvgPool2d(height: Int, width: Int)
  case flatten
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

  /// A window of `kernel` × `kernel` elements.
  public init(kernel: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1) {
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
  }

  /// How many windows fit along a dimension of `size` elements: 0 or less when none does.
  public func count(_ size: Int) -> Int {
    let room = size + 2 * padding - dilation * (kernel - 1) - 1
    return room < 0 ? 0 : room / stride + 1
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
  }

  /// All nodes; the first is the input.
  public private(set) var nodes: [Node]
  /// Which node gives the output.
  public private(set) var output: Int
  /// The nodes that are the outputs of modules, by the modules' paths.
  public private(set) var names: [String: Int]

  /// Records what `network` does with one input.
  public init(recording network: (Value) -> Value) {
    let recorder = Recorder()
    let input = Value(node: recorder.append(Node(operation: .input, inputs: [])), recorder: recorder)
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

    func append(_ node: Node) -> Int {
      nodes.append(node)
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
    Value(node: recorder.append(Graph.Node(operation: operation, inputs: [node])), recorder: recorder)
  }

  /// The elementwise sum.
  public static func + (a: Value, b: Value) -> Value {
    Value(
      node: a.recorder.append(Graph.Node(operation: .add, inputs: [a.node, b.node])), recorder: a.recorder)
  }

  /// Notes that this value is the output of the module at `path`.
  func name(_ path: String) {
    if !path.isEmpty { recorder.names[path] = node }
  }
}
