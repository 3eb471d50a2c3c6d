// What operators and values are called in an ONNX model: as the modules that they come from.
//
//   layer1.0.conv1     the operator of a module that consists of one, and its result
//   layer1.0.relu      an operator that a module with others in it applies itself, by the module's path and its kind
//   layer1.0.relu_1    the second of its kind in the module
//   layer1.0           the result of a module with others in it; the outermost one's if several end there

import Checkpoints

/// Names that are each given once.
struct UniqueNames {
  private var counts: [String: Int] = [:]

  /// - Parameter taken: names that are given already.
  init(_ taken: [String] = []) { for name in taken { counts[name] = 1 } }

  /// `name`, or with a number behind it where it is taken.
  mutating func name(_ name: String) -> String {
    guard var count = counts[name] else {
      counts[name] = 1
      return name
    }
    while counts["\(name)_\(count)"] != nil { count += 1 }
    counts[name] = count + 1
    counts["\(name)_\(count)"] = 1
    return "\(name)_\(count)"
  }
}

extension Graph {
  /// For each node what it is, in the terms of the modules; not each its own.
  var operatorNames: [String] {
    var kinds: [String: Set<String>] = [:]
    for node in nodes {
      kinds[node.module, default: []].insert(node.operation.kind)
      var path = node.module
      while let dot = path.lastIndex(of: ".") {
        path = String(path[..<dot])
        // It has modules in it.
        kinds[path, default: []].insert("")
      }
    }
    return nodes.map { node in
      // A layer's parameters have its path, whichever module applies it.
      if let path = node.operation.parameterNames.first?.droppingSuffix(".weight") { return path }
      if node.module.isEmpty { return node.operation.kind }
      return kinds[node.module]?.count == 1 ? node.module : "\(node.module).\(node.operation.kind)"
    }
  }

  /// For each node the path of the outermost module that it is the output of, where it was recorded in that module.
  var outputNames: [String?] {
    var result = [String?](repeating: nil, count: nodes.count)
    for (path, node) in names {
      let module = nodes[node].module
      guard module == path || module.hasPrefix(path + ".") else { continue }
      if let other = result[node], other.utf8.count <= path.utf8.count { continue }
      result[node] = path
    }
    return result
  }
}

extension Operation {
  /// What it is, in a word.
  fileprivate var kind: String {
    switch self {
    case .input: "input"
    case .conv2d, .channelConvolution: "conv"
    case .batchNorm2d, .groupNorm: "norm"
    case .linear: "linear"
    case .relu: "relu"
    case .relu6: "relu6"
    case .sigmoid: "sigmoid"
    case .add: "add"
    case .multiply: "mul"
    case .maxPool2d: "maxpool"
    case .avgPool2d, .avgPool2dSame, .adaptiveAvgPool2d: "avgpool"
    case .blurPool2d: "blurpool"
    case .subsample: "subsample"
    case .flatten: "flatten"
    }
  }
}
