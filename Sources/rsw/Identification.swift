// What is found out about a state dict before anything is done with it.

import Checkpoints
import NN
import ResNets

/// The model that a state dict is for, if it is one.
struct Identification {
  /// Nil when the state dict is no ResNet's, or does not fit the ResNet that it looks like.
  let recognition: Recognition?
  /// The model with its weights.
  let network: ResNet?
  /// How it was recognised, or why it was not.
  let description: String

  /// - Parameter isRequired: whether it is an error when there is no such model.
  init(_ stateDict: StateDict, _ hints: Hints, isRequired: Bool = false) throws {
    do {
      let recognition = try Recognition(stateDict, hints: hints)
      network = try ResNet(recognition)
      description = recognition.steps.joined(separator: "; ")
      self.recognition = recognition
    } catch {
      if isRequired { throw error }
      recognition = nil
      network = nil
      var reason = (error as? RecognitionError)?.reason ?? "they don't fit the ResNet that they look like"
      if let problem = (error as? LoadError)?.report.firstProblem { reason += ": " + problem }
      description = "not recognised: \(reason)"
    }
  }

  /// Parameters as PyTorch counts them: without BatchNorm's statistics.
  var parameterCount: Int? { network?.parameterCount }

  /// What else keys and shapes could mean; nil where they leave nothing open.
  var alternatives: String? {
    guard let alternatives = recognition?.alternatives, !alternatives.isEmpty else { return nil }
    return "keys and shapes would fit these too: \(alternatives.joined(separator: ", "))"
  }
}
