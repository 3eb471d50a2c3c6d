// Which ResNet a state dict is for, read off its keys and shapes.

public import Checkpoints

/// A state dict that is no ResNet's, with the first reason found.
public struct RecognitionError: Error, Sendable, CustomStringConvertible {
  /// What is missing or has another shape.
  public let reason: String

  /// The reason in a sentence, and what to do.
  public var description: String {
    "the weights are no ResNet that rsw knows: \(reason). List their names with 'rsw ls'."
  }

  init(_ reason: String) { self.reason = reason }
}

extension Architecture {
  /// Finds block, layers, width and classes from keys and shapes, with or without a wrapper's prefix.
  ///
  /// - Throws: ``RecognitionError`` with the first key that does not belong to such a network.
  public init(matching stateDict: StateDict) throws(RecognitionError) {
    let prefix = Architecture.prefix(of: stateDict)
    func shape(_ key: String) throws(RecognitionError) -> [Int] {
      guard let tensor = stateDict[prefix + key] else { throw RecognitionError("there is no \"\(key)\"") }
      return tensor.shape
    }
    let stem = try shape("conv1.weight")
    guard stem.count == 4, (1...Architecture.mostChannels).contains(stem[0]), Array(stem[1...]) == [3, 7, 7]
    else {
      throw RecognitionError("\"conv1.weight\" has shape \(stem) instead of [width, 3, 7, 7]")
    }
    let first = try shape("layer1.0.conv1.weight")
    let isBottleneck = stateDict[prefix + "layer1.0.conv3.weight"] != nil
    guard isBottleneck || first == [stem[0], stem[0], 3, 3] else {
      throw RecognitionError(
        "\"layer1.0.conv1.weight\" has shape \(first) instead of \([stem[0], stem[0], 3, 3])")
    }
    var layers: [Int] = []
    for stage in 1...4 {
      var blocks = 0
      while blocks <= Architecture.mostBlocks,
        stateDict[prefix + "layer\(stage).\(blocks).conv1.weight"] != nil
      { blocks += 1 }
      guard blocks <= Architecture.mostBlocks else {
        throw RecognitionError("layer\(stage) has more than \(Architecture.mostBlocks) blocks")
      }
      guard blocks > 0 else { throw RecognitionError("there is no \"layer\(stage).0.conv1.weight\"") }
      layers.append(blocks)
    }
    let classifier = try shape("fc.weight")
    guard classifier.count == 2, (1...Architecture.mostClasses).contains(classifier[0]) else {
      throw RecognitionError("\"fc.weight\" has shape \(classifier) instead of [classes, features]")
    }
    self.init(
      block: isBottleneck ? .bottleneck : .basic, layers: layers, width: stem[0], classes: classifier[0])
    if isBottleneck {
      (groups, widthPerGroup) = try Architecture.groups(
        of: shape("layer1.0.conv2.weight"), first: first, planes: width)
    }
    guard classifier[1] == features else {
      throw RecognitionError("\"fc.weight\" has shape \(classifier) instead of [classes, \(features)]")
    }
  }

  /// The groups of the 3×3 convolution of a bottleneck and their width, which tell ResNeXt and wide ResNets
  /// apart from others with the same keys.
  ///
  /// - Parameters:
  ///   - middle: the shape of its weight, `[channels, channels / groups, 3, 3]`.
  ///   - first: the shape of the weight before, `[channels, planes, 1, 1]` in the first stage.
  private static func groups(
    of middle: [Int], first: [Int], planes: Int
  ) throws(RecognitionError) -> (groups: Int, widthPerGroup: Int) {
    guard middle.count == 4, Array(middle[2...]) == [3, 3], (1...mostChannels).contains(middle[0]),
      (1...middle[0]).contains(middle[1]), middle[0].isMultiple(of: middle[1]),
      (middle[1] * 64).isMultiple(of: planes)
    else {
      throw RecognitionError(
        "\"layer1.0.conv2.weight\" has shape \(middle) instead of [channels, channels / groups, 3, 3]")
    }
    guard first == [middle[0], planes, 1, 1] else {
      throw RecognitionError(
        "\"layer1.0.conv1.weight\" has shape \(first) instead of \([middle[0], planes, 1, 1])")
    }
    return (middle[0] / middle[1], middle[1] * 64 / planes)
  }

  /// Far above every network that was ever trained, and low enough that no product of sizes overflows.
  private static let mostChannels = 1 << 16
  private static let mostClasses = 1 << 24
  private static let mostBlocks = 1000

  /// What stands before the keys of a ResNet, such as `module.`; empty when there are none.
  public static func prefix(of stateDict: StateDict) -> String {
    WrapperPrefix.find(
      in: stateDict,
      expecting: ["conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer4.0.conv1.weight"])
  }
}

extension Checkpoint {
  /// The state dict for a ResNet: the one under `key`, the one that is plainly meant or, where
  /// several could be meant, the only one that is a ResNet's.
  ///
  /// - Throws: as ``Checkpoints/Checkpoint/stateDict(key:)``.
  public func resNetStateDict(key: String? = nil) throws(CheckpointError) -> StateDict {
    do throws(CheckpointError) {
      return try stateDict(key: key)
    } catch  where error.code == .ambiguous && key == nil {
      var fitting: [StateDict] = []
      for candidate in stateDictKeys {
        guard let stateDict = try? stateDict(key: candidate) else { continue }
        if (try? Architecture(matching: stateDict)) != nil { fitting.append(stateDict) }
      }
      guard fitting.count == 1 else { throw error }
      return fitting[0]
    }
  }
}

extension Model where Root == ResidualNetwork {
  /// The ResNet that a checkpoint holds, with its weights.
  ///
  /// - Parameter key: the state dict's key, where the checkpoint holds several.
  /// - Throws: ``CheckpointError``, ``RecognitionError`` or ``LoadError``.
  public init(_ checkpoint: Checkpoint, key: String? = nil) throws {
    let stateDict = try checkpoint.resNetStateDict(key: key)
    try self.init(matching: stateDict)
    try load(stateDict)
  }
}
