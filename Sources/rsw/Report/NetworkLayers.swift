// The layers of a network as a report lists them: what each takes and gives, and how long it takes. A step of a plan
// may compute several layers at once; its time stands at the first of them.

import Checkpoints
import Inference
import NN
import ResNets

/// A layer, or an operation that takes a step of its own.
struct NetworkLayer {
  /// The module's path; empty for what the network does between its modules.
  let path: String
  let operation: Operation
  /// What it is, such as `conv 3×3, stride 2`.
  let kind: String
  /// Its group: `stem`, `layer1` and so on, `head`.
  let stage: String
  /// The shapes of what it takes and gives, without the batch.
  let input: [Int], output: [Int]
  /// Learned parameters.
  let parameterCount: Int
  /// Multiplications and additions of a pass.
  var operationCount = 0
  /// The median time of the step that begins with it; nil where a layer before it has it.
  var milliseconds: Double?
  /// The algorithm of a convolution.
  var algorithm = ""
  /// The layer whose step computes it too.
  var computedWith: String?

  /// What people call it: the path, or the operation.
  var name: String { path.isEmpty ? kind : path }
}

struct NetworkLayers {
  private(set) var layers: [NetworkLayer] = []

  /// The stages in order.
  var stages: [String] {
    layers.reduce(into: []) { names, layer in
      if !names.contains(layer.stage) { names.append(layer.stage) }
    }
  }

  /// Multiplications and additions of a pass.
  var operationCount: Int { layers.reduce(0) { $0 + $1.operationCount } }

  var milliseconds: Double { layers.reduce(0) { $0 + ($1.milliseconds ?? 0) } }

  /// - Parameters:
  ///   - timings: of passes on one image.
  ///   - shape: that image's, `[1, 3, H, W]`.
  init(_ network: ResNet, _ timings: [StepTiming], shape: [Int]) throws(InputError) {
    let graph = network.graph
    let shapes = try graph.shapes(input: shape).map { Array($0.dropFirst()) }
    var counts: [CodeUnitKey: Int] = [:]
    for parameter in network.parameters where !parameter.isBuffer {
      counts[CodeUnitKey(parameter.name)] = parameter.shape.reduce(1, *)
    }
    let steps = NetworkLayers.steps(of: graph, timings)
    let isLayer = graph.nodes.map(\.operation.isLayer)
    let stepsWithLayers = Set(steps.indices.filter { isLayer[$0] }.compactMap { steps[$0] })
    /// For each step the place of its first layer.
    var first: [Int: Int] = [:]
    var isBehindStages = false
    var stage = "stem"
    for (index, node) in graph.nodes.enumerated() where node.operation != .input {
      let part = node.module.split(separator: ".").first.map(String.init) ?? ""
      if part.hasPrefix("layer") {
        (stage, isBehindStages) = (part, true)
      } else if isBehindStages {
        stage = "head"
      }
      let step = steps[index]
      // What a step does on its way, such as ReLU, is no layer, unless the step does nothing else.
      guard isLayer[index] || !stepsWithLayers.contains(step ?? -1) else { continue }
      var layer = NetworkLayer(
        path: node.operation.layerPath ?? node.module, operation: node.operation, kind: node.operation.kind,
        stage: stage,
        input: node.inputs.first.map { shapes[$0] } ?? [], output: shapes[index],
        parameterCount: node.operation.parameterNames.reduce(0) { $0 + (counts[CodeUnitKey($1)] ?? 0) })
      if let step {
        if let place = first[step] {
          layer.computedWith = layers[place].name
        } else {
          first[step] = layers.count
          (layer.milliseconds, layer.algorithm) = (
            median(timings[step].milliseconds), timings[step].algorithm
          )
          layer.operationCount = timings[step].operationCount
        }
      }
      layers.append(layer)
    }
  }

  /// For each node the step that computes it: the one that gives its result, or the one that it is a part of.
  private static func steps(of graph: Graph, _ timings: [StepTiming]) -> [Int?] {
    var steps = [Int?](repeating: nil, count: graph.nodes.count)
    for (step, timing) in timings.enumerated() { steps[timing.node] = step }
    for index in graph.nodes.indices.reversed() {
      for input in graph.nodes[index].inputs where steps[input] == nil { steps[input] = steps[index] }
    }
    return steps
  }
}

extension Operation {
  /// Whether it is listed wherever it is computed.
  fileprivate var isLayer: Bool {
    switch self {
    case .input, .relu, .sigmoid, .add, .multiply, .flatten: false
    default: true
    }
  }

  /// The path before the names of its parameters, which a module may have given a place of their own.
  fileprivate var layerPath: String? {
    parameterNames.first.map { $0.split(separator: ".").dropLast().joined(separator: ".") }
  }

  /// What it is, in a few words.
  var kind: String {
    switch self {
    case .input: "input"
    case .conv2d(let convolution):
      "conv " + convolution.window.text + (convolution.groups > 1 ? ", \(convolution.groups) groups" : "")
    case .batchNorm2d: "BatchNorm"
    case .groupNorm(let norm): "GroupNorm, \(norm.groups) groups"
    case .linear: "linear"
    case .relu: "ReLU"
    case .sigmoid: "sigmoid"
    case .add: "sum"
    case .multiply: "gate"
    case .maxPool2d(let window): "max pool " + window.text
    case .avgPool2d(let window, _): "average pool " + window.text
    case .avgPool2dSame(let kernel, let stride):
      "average pool " + Window(kernel: kernel, stride: stride).text
    case .adaptiveAvgPool2d: "mean of all pixels"
    case .blurPool2d(let window): "blur " + window.text
    case .channelConvolution(let convolution): "conv of \(convolution.kernel) channels"
    case .subsample(let subsampling): "subsampling, stride \(subsampling.stride)"
    case .flatten: "flatten"
    }
  }
}

extension Window {
  /// `3×3, stride 2, dilation 2`
  fileprivate var text: String {
    "\(kernel)×\(kernel)" + (stride > 1 ? ", stride \(stride)" : "")
      + (dilation > 1 ? ", dilation \(dilation)" : "")
  }
}

/// In what arithmetic is counted.
struct ArithmeticUnit {
  let name: String
  /// What the unit is, in the plural.
  let words: String
  /// The same in the singular.
  let word: String
  private let size: Double

  /// The unit for a network that takes so many operations in all.
  init(for operations: Int) {
    (name, words, word, size) =
      operations >= 100_000_000
      ? ("GFLOP", "billions", "billion", 1e9) : ("MFLOP", "millions", "million", 1e6)
  }

  func text(_ operations: Int, digits: Int) -> String { fixed(Double(operations) / size, digits) }
}
