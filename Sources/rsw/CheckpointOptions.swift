// What every command that opens a checkpoint lets the user choose.

import ArgumentParser
import Checkpoints
import ResNets

/// Which part of a file is meant.
struct CheckpointOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The entry of the checkpoint that is the state dict.", valueName: "key"))
  var key: String?

  @Option(
    help: ArgumentHelp("The member of a zip archive that is the checkpoint.", valueName: "name"))
  var member: String?

  /// Opens the file at `path`, or its member.
  func open(_ path: String) throws(CheckpointError) -> Checkpoint {
    try Checkpoint(path: path, member: member)
  }
}

/// Whether everything in the file is meant.
struct SelectionOptions: ParsableArguments {
  @OptionGroup var checkpoint: CheckpointOptions

  @Flag(help: "Take every tensor in the file, under its full dotted path.")
  var all = false

  func validate() throws {
    if all, checkpoint.key != nil { throw ValidationError("--all and --key exclude each other.") }
  }

  /// The state dict that is meant, or every tensor.
  func stateDict(of file: Checkpoint) throws(CheckpointError) -> StateDict {
    try all ? file.allTensors() : file.resNetStateDict(key: checkpoint.key)
  }
}
