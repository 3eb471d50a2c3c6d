// What a network is built from, read off its keys and shapes. What they can't tell is left as torchvision has it.

import Checkpoints
import NN

/// Reads an architecture off a state dict that has the network's own names.
struct ArchitectureSearch {
  /// Far above every network that was ever trained, and low enough that no product of sizes overflows.
  private static let mostChannels = 1 << 16
  private static let mostClasses = 1 << 24
  private static let mostBlocks = 1000
  private static let mostStages = 8

  private let stateDict: StateDict

  init(_ stateDict: StateDict) { self.stateDict = stateDict }

  /// - Throws: ``RecognitionError`` with the first key that does not belong to such a network.
  func architecture() throws(RecognitionError) -> Architecture {
    let (stem, stemChannels) = try self.stem()
    // CIFAR's networks have three stages, all others four.
    let (blocks, layers) = try stages(atLeast: stem == .small ? 3 : 4)
    var result = Architecture(block: .basic, layers: layers)
    (result.blocks, result.stem, result.stemChannels) = (blocks, stem, stemChannels)
    result.replacesStemPool = has("maxpool.0.weight")
    (result.normalization, result.hasBiases) = normalization()
    result.planes = []
    for (stage, block) in blocks.enumerated() {
      let last = try convolution("layer\(stage + 1).0.conv\(block == .basic ? 2 : 3).weight")
      result.planes.append(max(1, last[0] / block.expansion))
    }
    if let stage = blocks.firstIndex(of: .bottleneck) { try readWidths(&result, stage) }
    try readShortcuts(&result)
    try readAttention(&result)
    result.classes = try classes()
    readSizes(&result)
    if let fc = stateDict["fc.weight"]?.shape, fc[1] != result.features {
      throw RecognitionError("\"fc.weight\" has shape \(fc) instead of [classes, \(result.features)]")
    }
    return result
  }

  // MARK: Keys and shapes

  private func has(_ key: String) -> Bool { stateDict[key] != nil }

  private func shape(_ key: String) throws(RecognitionError) -> [Int] {
    guard let tensor = stateDict[key] else { throw RecognitionError("there is no \"\(key)\"") }
    return tensor.shape
  }

  /// The shape of a convolution's weight, `[out, in, kernel, kernel]`.
  private func convolution(_ key: String) throws(RecognitionError) -> [Int] {
    let shape = try shape(key)
    guard shape.count == 4, shape[2] == shape[3], (1...15).contains(shape[2]),
      (1...ArchitectureSearch.mostChannels).contains(shape[0]),
      (1...ArchitectureSearch.mostChannels).contains(shape[1])
    else {
      throw RecognitionError("\"\(key)\" has shape \(shape) instead of [channels, channels, kernel, kernel]")
    }
    return shape
  }

  // MARK: Parts

  private func stem() throws(RecognitionError) -> (Architecture.Stem, channels: Int) {
    if has("conv1.0.weight") {
      let first = try convolution("conv1.0.weight")
      let (second, third) = (try convolution("conv1.3.weight"), try convolution("conv1.6.weight"))
      guard Array(first[1...]) == [3, 3, 3] else {
        throw RecognitionError("\"conv1.0.weight\" has shape \(first) instead of [width, 3, 3, 3]")
      }
      return (.deep(first[0], second[0]), third[0])
    }
    let shape = try shape("conv1.weight")
    guard shape.count == 4, (1...ArchitectureSearch.mostChannels).contains(shape[0]),
      [[3, 7, 7], [3, 3, 3]].contains(Array(shape[1...]))
    else {
      throw RecognitionError("\"conv1.weight\" has shape \(shape) instead of [width, 3, 7, 7]")
    }
    return (shape[2] == 7 ? .plain : .small, shape[0])
  }

  /// The blocks of each stage, and how many.
  private func stages(
    atLeast fewest: Int
  ) throws(RecognitionError) -> (blocks: [Architecture.Block], layers: [Int]) {
    var counts: [Int] = []
    while counts.count < ArchitectureSearch.mostStages {
      let stage = counts.count + 1
      let before = counts.reduce(0, +)
      var blocks = 0
      while has("layer\(stage).\(blocks).conv1.weight") {
        blocks += 1
        guard before + blocks <= ArchitectureSearch.mostBlocks else {
          throw RecognitionError("there are more than \(ArchitectureSearch.mostBlocks) blocks")
        }
      }
      if blocks == 0 { break }
      counts.append(blocks)
    }
    guard counts.count >= fewest else {
      throw RecognitionError("there is no \"layer\(counts.count + 1).0.conv1.weight\"")
    }
    let blocks = counts.indices.map {
      has("layer\($0 + 1).0.conv3.weight") ? Architecture.Block.bottleneck : .basic
    }
    return (blocks, counts)
  }

  /// What normalises, and whether convolutions have biases beside it.
  private func normalization() -> (Architecture.Normalization, hasBiases: Bool) {
    let hasBiases = has("layer1.0.conv1.bias")
    let norms = ["bn1", "layer1.0.bn1", "layer1.0.bn2"]
    func any(_ name: String) -> Bool { norms.contains { has("\($0).\(name)") } }
    if hasBiases, !any("weight"), !any("bias"), !any("running_mean") { return (.folded, false) }
    if !has("bn1.running_mean"), !has("layer1.0.bn1.running_mean"), has("layer1.0.bn1.weight") {
      // Shapes don't tell how many groups there are; all published networks have 32.
      return (.group(groups: 32), hasBiases)
    }
    return (.batch, hasBiases)
  }

  /// The groups of a bottleneck's 3×3 convolution and their width, which tell ResNeXt and wide ResNets apart from
  /// others with the same keys.
  private func readWidths(_ result: inout Architecture, _ stage: Int) throws(RecognitionError) {
    let first = try convolution("layer\(stage + 1).0.conv1.weight")
    let second = try convolution("layer\(stage + 1).0.conv2.weight")
    guard first[0].isMultiple(of: second[1]), second[0].isMultiple(of: first[0] / second[1]) else {
      throw RecognitionError(
        "\"layer\(stage + 1).0.conv2.weight\" has shape \(second) instead of [channels, channels / groups, 3, 3]"
      )
    }
    result.groups = first[0] / second[1]
    result.widthPerGroup = max(1, second[0] * 64 / (result.planes[stage] * result.groups))
    result.firstReduction = max(1, second[0] / first[0])
  }

  private func readShortcuts(_ result: inout Architecture) throws(RecognitionError) {
    let stages = (1...result.layers.count).reversed()
    if let stage = stages.first(where: { stateDict["layer\($0).0.downsample.0.weight"]?.shape.count == 4 }) {
      result.shortcut = .convolution
      result.shortcutKernel = try convolution("layer\(stage).0.downsample.0.weight")[2]
    } else if stages.contains(where: { stateDict["layer\($0).0.downsample.1.weight"]?.shape.count == 4 }) {
      result.shortcut = .averagePool
    } else if result.stem == .small {
      result.shortcut = .padding
    }
  }

  private func readAttention(_ result: inout Architecture) throws(RecognitionError) {
    if has("layer1.0.se.fc1.weight") {
      let reduced = try convolution("layer1.0.se.fc1.weight")
      let reductions = [16, 4, 8, 2, 32]
      let fitting = reductions.first { Parts.reduced(reduced[1], by: $0) == reduced[0] }
      result.attention = .squeezeExcitation(reduction: fitting ?? 16)
    } else if has("layer1.0.se.conv.weight") {
      result.attention = .efficientChannel
    }
  }

  private func classes() throws(RecognitionError) -> Int? {
    guard has("fc.weight") else { return nil }
    let shape = try shape("fc.weight")
    guard shape.count == 2, (1...ArchitectureSearch.mostClasses).contains(shape[0]) else {
      throw RecognitionError("\"fc.weight\" has shape \(shape) instead of [classes, features]")
    }
    return shape[0]
  }

  // MARK: Pruned networks

  /// Where shapes are not what the rest says, but fit together, takes them as pruning's.
  private func readSizes(_ result: inout Architecture) {
    let regular = differences(from: result)
    guard !regular.isEmpty else { return }
    for variant in Variant.all where !variant.architecture.sizes.isEmpty {
      var pruned = variant.architecture
      (pruned.classes, pruned.normalization) = (result.classes, result.normalization)
      if pruned.layers == result.layers, differences(from: pruned).isEmpty {
        result = pruned
        return
      }
    }
    var other = result
    for (name, shape) in regular {
      guard let path = name.droppingSuffix(".weight"),
        shape.allSatisfy({ (1...ArchitectureSearch.mostChannels).contains($0) })
      else { continue }
      if shape.count == 4 { other.sizes[path] = shape[0] }
      if shape.count == 3, !shape[2].isMultiple(of: 2), shape[2] < 64 { other.sizes[path] = shape[2] }
    }
    if differences(from: other).isEmpty { result = other }
  }

  /// The weights of convolutions whose shape is another than that of `architecture`.
  private func differences(from architecture: Architecture) -> [(name: String, shape: [Int])] {
    let scope = Scope()
    _ = ResidualNetwork(scope, architecture)
    return scope.parameters.compactMap { parameter in
      guard parameter.shape.count >= 3, let found = stateDict[parameter.name]?.shape, found != parameter.shape
      else { return nil }
      return (parameter.name, found)
    }
  }
}

extension ResidualNetwork {
  /// Sizes of convolutions, in the order of their parameters, by path; without those that are as the rule says.
  static func sizes(_ channels: [Int], of architecture: Architecture) -> [String: Int] {
    let scope = Scope()
    _ = ResidualNetwork(scope, architecture)
    let convolutions = scope.parameters.filter { $0.shape.count == 4 }
    var sizes: [String: Int] = [:]
    for (convolution, count) in zip(convolutions, channels) where convolution.shape[0] != count {
      if let path = convolution.name.droppingSuffix(".weight") { sizes[path] = count }
    }
    return sizes
  }
}
