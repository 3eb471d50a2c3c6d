// What an ONNX model says of the shapes of its input and output, and what its operators have to know: with an input
// of any size, the number of channels only.

import Checkpoints

extension ONNXOptions {
  /// The shape of each node's result; nil for what depends on the input.
  func shapes(of graph: Graph) throws -> [[Int?]] {
    if let size {
      let shapes = try graph.shapes(input: [batch ?? 1, channels, size.height, size.width])
      return shapes.map { [batch] + $0.dropFirst().map { $0 } }
    }
    var shapes: [[Int?]] = []
    for (index, node) in graph.nodes.enumerated() {
      guard node.operation != .input else {
        shapes.append([batch, channels, nil, nil])
        continue
      }
      let x = shapes[node.inputs[0]]
      if let due = node.operation.inputChannels, let channels = x[1], channels != due {
        throw InputError(
          "\(quoted(graph.operatorNames[index])) can't be exported: \(channels) channels arrive where \(due) are due."
        )
      }
      shapes.append(node.operation.shape(of: x))
    }
    return shapes
  }

  /// A shape as the model declares it.
  func dimensions(_ shape: [Int?], isInput: Bool) -> [ONNXDimension] {
    let names = isInput ? ["batch", "channels", "height", "width"] : ["batch"]
    return shape.enumerated().map { index, size in
      size.map { .size($0) } ?? (index < names.count ? .named(names[index]) : .unknown)
    }
  }
}

extension Operation {
  /// The channels or features that it takes, where its parameters say so.
  fileprivate var inputChannels: Int? {
    switch self {
    case .conv2d(let convolution): convolution.inChannels
    case .batchNorm2d(let norm): norm.channels
    case .groupNorm(let norm): norm.channels
    case .linear(let layer): layer.inFeatures
    case .subsample(let subsampling): subsampling.inChannels
    default: nil
    }
  }

  /// What is known of the result's shape for an input of shape `x`.
  fileprivate func shape(of x: [Int?]) -> [Int?] {
    switch self {
    case .input, .batchNorm2d, .groupNorm, .relu, .relu6, .sigmoid, .add, .multiply, .channelConvolution: x
    case .conv2d(let convolution): [x[0], convolution.outChannels, nil, nil]
    case .subsample(let subsampling): [x[0], subsampling.outChannels, nil, nil]
    case .maxPool2d, .avgPool2d, .avgPool2dSame, .blurPool2d: [x[0], x[1], nil, nil]
    case .adaptiveAvgPool2d(let height, let width): [x[0], x[1], height, width]
    case .flatten:
      [x[0], x.dropFirst().reduce(1) { product, size in product.flatMap { p in size.map { p * $0 } } }]
    case .linear(let layer): [x[0], layer.outFeatures]
    }
  }
}
