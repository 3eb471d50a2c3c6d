// What stands in the way of an output is told before the work, not after it.

import Checkpoints

/// - Throws: `.cannotWrite` when `output` is one of the inputs.
func requireOther(_ output: String, than inputs: [String]) throws {
  if inputs.contains(where: { OutputFile.isSame($0, output) }) {
    throw CheckpointError(.cannotWrite, "is the input itself: choose another name.").inFile(output)
  }
}

/// - Throws: `.cannotWrite` when `output` is one of the inputs, can't be created, or exists and is not to be replaced.
func requireOutput(_ output: String, replacing: Bool, besides inputs: [String]) throws {
  try requireOther(output, than: inputs)
  try OutputFile(output, replacing: replacing).discard()
}
