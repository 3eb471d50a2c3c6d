// Why a state dict is no ResNet's, or a network can't be folded, word for word.

import ResNets
import TestSupport
import Testing

@Suite struct ErrorTextTests {
  /// A narrow ResNet-18 in which some tensors have other shapes, or are missing where there is none.
  private func stateDict(_ changes: [String: [Int]?], of name: String = "resnet18") throws -> StateDict {
    var architecture = try #require(Architecture(named: name))
    architecture.planes = architecture.planes.map { $0 / 16 }
    architecture.stemChannels /= 16
    architecture.classes = 7
    var result = StateDict()
    for (name, tensor) in ResNet(architecture).stateDict where changes[name] == nil {
      try result.append(name, tensor)
    }
    for case (let name, let shape?) in changes { try result.append(name, zeros(shape)) }
    return result
  }

  private func zeros(_ shape: [Int]) throws -> Tensor {
    try Tensor(
      dtype: .float32, shape: shape, strides: shape.map { _ in 0 },
      storage: Storage(Bytes([UInt8](repeating: 0, count: 4))))
  }

  private func sentence(_ reason: String) -> String {
    "the weights are no ResNet that rsw knows: \(reason). 'rsw ls' lists their names; other networks run once their modules "
      + "are written in Swift (Bring your own module)."
  }

  @Test(
    arguments: [
      (["conv1.weight": nil], "there is no \"conv1.weight\""),
      (
        ["conv1.weight": [4, 3, 5, 5]], "\"conv1.weight\" has shape [4, 3, 5, 5] instead of [width, 3, 7, 7]"
      ),
      (
        [
          "conv1.weight": nil, "conv1.0.weight": [4, 1, 3, 3], "conv1.3.weight": [4, 4, 3, 3],
          "conv1.6.weight": [4, 4, 3, 3],
        ], "\"conv1.0.weight\" has shape [4, 1, 3, 3] instead of [width, 3, 3, 3]"
      ),
      (["layer4.0.conv1.weight": nil], "there is no \"layer4.0.conv1.weight\""),
      (["layer2.0.conv1.weight": nil], "there is no \"layer2.0.conv1.weight\""),
      (
        ["layer3.0.conv2.weight": [16, 16, 3, 1]],
        "\"layer3.0.conv2.weight\" has shape [16, 16, 3, 1] instead of [channels, channels, kernel, kernel]"
      ),
      (["fc.weight": [7]], "\"fc.weight\" has shape [7] instead of [classes, features]"),
      (["fc.weight": [7, 31]], "\"fc.weight\" has shape [7, 31] instead of [classes, 32]"),
    ] as [([String: [Int]?], String)])
  func keysAndShapes(_ changes: [String: [Int]?], _ reason: String) throws {
    let stateDict = try stateDict(changes)
    #expect(errorText { try Recognition(stateDict) } == sentence(reason))
  }

  @Test func groups() throws {
    let stateDict = try stateDict(["layer1.0.conv2.weight": [4, 3, 3, 3]], of: "resnet50")
    #expect(
      errorText { try Recognition(stateDict) }
        == sentence(
          "\"layer1.0.conv2.weight\" has shape [4, 3, 3, 3] instead of [channels, channels / groups, 3, 3]"))
  }

  @Test func tooManyBlocks() throws {
    var stateDict = try stateDict([:])
    for block in 2...1000 { stateDict.update("layer2.\(block).conv1.weight", try zeros([8, 8, 3, 3])) }
    #expect(errorText { try Recognition(stateDict) } == sentence("there are more than 1000 blocks"))
  }

  @Test func networksBesideEachOther() throws {
    var twins = StateDict()
    for (name, tensor) in try stateDict([:]) {
      try twins.append("left." + name, tensor)
      try twins.append("right." + name, zeros(tensor.shape))
    }
    #expect(
      errorText { try Recognition(twins) }
        == "there are several networks, under \"left.\" and \"right.\": "
        + "choose one with --map 'right.{*}={*}'.")
  }

  @Test(
    arguments: [
      ("nothing = conv1.weight", "no key matches the rules given."),
      ("fc.bias = fc.weight", "the rules given don't fit: \"fc.weight\": two tensors have this name."),
      (
        "fc.bias = fc.b : hwio",
        "the rules given don't fit: \"fc.bias\": has shape [7], which does not go with the axes hwio."
      ),
    ])
  func rulesThatDoNotFit(_ rule: String, _ text: String) throws {
    var hints = Hints()
    hints.map = try KeyMap(parsing: rule)
    let stateDict = try stateDict([:])
    #expect(errorText { try Recognition(stateDict, hints: hints) } == text)
  }

  @Test(
    arguments: [
      (
        "colour", "red",
        "colour can't be set; there are stride, antialiasing, dilated, head, pool, "
          + "stem_stride, stem_pool, eps and norm_groups."
      ),
      ("stride", "third", "stride=third can't be set; there are first, second."),
      ("antialiasing", "", "antialiasing= can't be set; there are none, average, blur."),
      ("head", "none", "head=none can't be set; there are adaptive, tutorial."),
      ("pool", "floor", "pool=floor can't be set; there are padded, ceil."),
      ("stem_stride", "3", "stem_stride=3 can't be set; there are 1, 2."),
      ("stem_pool", "average", "stem_pool=average can't be set; there are none, max."),
      ("eps", "1", "eps=1 can't be set; there are numbers from 0 to 1."),
      ("dilated", "1", "dilated=1 can't be set; there are stages 2...4, such as 3,4."),
      ("norm_groups", "0", "norm_groups=0 can't be set; there are numbers of groups."),
    ])
  func settings(_ name: String, _ value: String, _ text: String) throws {
    var hints = Hints()
    hints.settings = [(name, value)]
    let stateDict = try stateDict([:])
    #expect(errorText { try Recognition(stateDict, hints: hints) } == text)
  }

  @Test func variants() throws {
    let stateDict = try stateDict([:])
    #expect(
      errorText { try Recognition(stateDict, hints: Hints(architecture: "alexnet")) }
        == "there is no variant \"alexnet\".")
    #expect(
      errorText { try Recognition(stateDict, hints: Hints(architecture: "resnet34")) }
        == "keys and shapes are not those of resnet34, but of resnet18 of width 4, 7 classes.")
  }

  @Test(
    arguments: [
      (
        #"{"family":"resnet","layers":[3,4,6,3]}"#,
        "the architecture that the file records does not go with its keys: convert it again."
      ),
      (
        #"{"family":"resnet","stride":[]}"#,
        "the architecture that the file records has a stride that can't be."
      ),
      (#"{"family":"resnet","stride":"third"}"#, "stride=third can't be set; there are first, second."),
    ])
  func recordedArchitectures(_ architecture: String, _ text: String) throws {
    let folder = try TemporaryFolder()
    var options = WriteOptions()
    options.architecture = architecture
    try stateDict([:]).write(to: folder.path("a.rsw"), as: .rsw, options: options)
    let checkpoint = try Checkpoint(path: folder.path("a.rsw"))
    #expect(errorText { try checkpoint.recognition() } == text)
  }

  @Test func folding() throws {
    var architecture = try #require(Architecture(named: "resnet18"))
    architecture.normalization = .group(groups: 32)
    #expect(
      errorText { try ResNet(architecture).foldingBatchNorm() }
        == "there is no BatchNorm to fold: the network has GroupNorm, whose statistics are those of each image."
    )
    architecture.normalization = .folded
    #expect(
      errorText { try ResNet(architecture).foldingBatchNorm() }
        == "there is nothing to fold: it was folded before.")
  }
}
