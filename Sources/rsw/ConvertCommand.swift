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

  @Argument(help: "The checkpoint: a PyTorch .pth, .pt or .bin, safetensors, or rsw file.")
  var input: String

  @Argument(help: "The .rsw file to write.")
  var output: String

  @Option(help: ArgumentHelp("The entry of the checkpoint that is the state dict.", valueName: "key"))
  var key: String?

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @Flag(help: "Print nothing but errors.")
  var quiet = false

  func run() throws {
    try Terminal.reporting {
      let checkpoint = try Checkpoint(path: input)
      var stateDict = try concerning(input) { try checkpoint.resNetStateDict(key: key) }
      let recognition = Recognition(stateDict)
      let description = describe(stateDict, checkpoint, recognition)
      try concerning(input) { stateDict = try stateDict.removingPrefix(recognition.removedPrefix) }
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
    if !recognition.removedPrefix.isEmpty {
      lines.append("       \(quoted(recognition.removedPrefix)) removed from the names")
    }
    if !stateDict.otherEntries.isEmpty {
      let names = stateDict.otherEntries.prefix(5).map { quoted($0) }.joined(separator: ", ")
      lines.append(
        "       left out, as they are no tensors: \(names)\(stateDict.otherEntries.count > 5 ? ", …" : "")")
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
