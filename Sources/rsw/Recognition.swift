// What is found out about a state dict before anything is done with it.

import Checkpoints
import ResNets

/// The model that a state dict is for, if it is one, and what stands before its keys.
struct Recognition {
  /// Nil when the state dict is no ResNet's, or does not fit the ResNet that it looks like.
  let architecture: Architecture?
  /// What a wrapper put before the keys, where taking it away makes them fit.
  let removedPrefix: String
  /// Parameters as PyTorch counts them: without BatchNorm's statistics.
  let parameterCount: Int?
  /// The architecture, or why there is none.
  let description: String

  init(_ stateDict: StateDict) {
    do {
      let architecture = try Architecture(matching: stateDict)
      var model = ResNet(architecture)
      let report = try model.load(stateDict)
      self.architecture = architecture
      removedPrefix = report.removedPrefix
      parameterCount = model.parameterCount
      description = architecture.description
    } catch {
      architecture = nil
      removedPrefix = ""
      parameterCount = nil
      let reason = (error as? RecognitionError)?.reason ?? "they don't fit the ResNet that they look like"
      description = "not recognised: \(reason)"
    }
  }
}
