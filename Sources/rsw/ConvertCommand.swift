// rsw convert: a checkpoint becomes an .rsw file.

import ArgumentParser
import Checkpoints
import ResNets

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Convert a checkpoint to an .rsw file, which any safetensors reader opens too.",
    discussion: """
      Checksums recorded in the checkpoint are verified, and the new file is read again before it \
      appears under its name.
      """)

  @Argument(
    help:
      "The checkpoint: a PyTorch .pth, .pt or .bin, TorchScript, safetensors, npz or rsw file, or an index.json."
  )
  var input: String

  @Argument(help: "The .rsw file to write.")
  var output: String

  @OptionGroup var selection: SelectionOptions

  @Flag(help: "Write quantized and sparse tensors as ordinary ones.")
  var dense = false

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @Flag(help: "Print nothing but errors.")
  var quiet = false

  func run() throws {
    try Terminal.reporting {
      guard !isSameFile(input, output) else {
        throw CheckpointError(.cannotWrite, "is the input itself: choose another name.").inFile(output)
      }
      let checkpoint = try selection.checkpoint.open(input)
      var stateDict = try selection.stateDict(of: checkpoint)
      let recognition = Recognition(stateDict)
      let description = describe(stateDict, checkpoint, recognition)
      try concerning(input) {
        if !selection.all { stateDict = try stateDict.removingPrefix(recognition.removedPrefix) }
        if dense { stateDict = try stateDict.dense() }
      }
      try write(stateDict, from: checkpoint, recognition)
      if !quiet {
        print(description)
        print("wrote  \(printable(output)): \(stateDict.count) tensors, read again and compared")
      }
    }
  }

  /// What was found in the input, a line each.
  private func describe(_ stateDict: StateDict, _ checkpoint: Checkpoint, _ recognition: Recognition)
    -> String
  {
    var lines = [
      "read   \(printable(input)): \(checkpoint.container.rawValue), \(stateDict.count) tensors, "
        + "\(grouped(stateDict.elementCount)) elements, \(byteSize(stateDict.byteCount))"
    ]
    if !stateDict.location.isEmpty { lines.append("       state dict under \(quoted(stateDict.location))") }
    if !recognition.removedPrefix.isEmpty, !selection.all {
      lines.append("       \(quoted(recognition.removedPrefix)) removed from the names")
    }
    if !stateDict.otherEntries.isEmpty {
      let names = stateDict.otherEntries.prefix(5).map { quoted($0) }.joined(separator: ", ")
      lines.append(
        "       left out, as they are no tensors: \(names)\(stateDict.otherEntries.count > 5 ? ", …" : "")")
    }
    if !stateDict.nestedEntries.isEmpty {
      let names = stateDict.nestedEntries.prefix(5).map { quoted($0) }.joined(separator: ", ")
      lines.append(
        "       left out, though they hold tensors (--all takes them): \(names)\(stateDict.nestedEntries.count > 5 ? ", …" : "")"
      )
    }
    lines.append("model  \(recognition.description)")
    return lines.joined(separator: "\n")
  }

  private func write(_ stateDict: StateDict, from checkpoint: Checkpoint, _ recognition: Recognition) throws {
    var options = RSWOptions()
    options.source = checkpoint
    options.architecture = recognition.architecture?.json.text()
    options.replacing = force
    let draws = Terminal.showsProgress && !quiet
    defer { if draws { Terminal.clearProgress() } }
    try concerning(input) {
      try stateDict.writeRSW(to: output, options: options) { done, total in
        if draws { Terminal.draw(progress: done, of: total) }
      }
    }
  }
}
