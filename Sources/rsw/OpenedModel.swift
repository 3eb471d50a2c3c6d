// The network in a file, as the commands that run one open it.

import Checkpoints
import ResNets

/// A ResNet with its weights, and what was found out about its file.
struct OpenedModel {
  let checkpoint: Checkpoint
  let stateDict: StateDict
  let recognition: Recognition
  var network: ResNet
}

/// The file at `path`, and the ResNet in it with its weights.
func loadModel(_ path: String, _ options: CheckpointOptions, _ hints: HintOptions) throws -> OpenedModel {
  let hints = try hints.hints()
  return try concerning(path) {
    let checkpoint = try options.open(path)
    let stateDict = try checkpoint.resNetStateDict(key: options.key)
    let recognition = try Recognition(stateDict, hints: hints.and(checkpoint))
    let network = try ResNet(recognition)
    if !recognition.alternatives.isEmpty {
      Terminal.note(
        "read as \(recognition.architecture); keys and shapes would fit these too: "
          + recognition.alternatives.joined(separator: ", "))
    }
    if let beside = recognition.beside { Terminal.note(beside) }
    return OpenedModel(
      checkpoint: checkpoint, stateDict: stateDict, recognition: recognition, network: network)
  }
}

/// Refuses modules that the network in the file at `path` does not have.
func requireModules(_ modules: [String], of network: ResNet, in path: String) throws {
  for module in modules where network.graph.names[module] == nil {
    let nearest = nearestNames(to: module, among: network.graph.names.keys.sorted(), most: 3)
    throw CheckpointError(
      .noTensor,
      "its network has no module \(quoted(module)) with an output of its own. "
        + (nearest.isEmpty
          ? "'rsw bench --layers' names layers; stages such as layer4 and blocks such as layer4.0 have outputs too."
          : "Did you mean \(nearest.map { quoted($0) }.joined(separator: " or "))?")
    ).inFile(path)
  }
}
