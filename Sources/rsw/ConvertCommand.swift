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
      say("read   \(printable(input)): \(checkpoint.container.rawValue), \(summary(of: stateDict))")
      if !stateDict.location.isEmpty { say("       state dict under \(quoted(stateDict.location))") }
      if !recognition.removedPrefix.isEmpty {
        say("       \(quoted(recognition.removedPrefix)) removed from the names")
      }
      if !stateDict.otherEntries.isEmpty {
        let names = stateDict.otherEntries.prefix(5).map { quoted($0) }.joined(separator: ", ")
        say(
          "       left out, as they are no tensors: \(names)\(stateDict.otherEntries.count > 5 ? ", …" : "")")
      }
      say("model  \(recognition.description)")

      try concerning(input) { stateDict = try stateDict.removingPrefix(recognition.removedPrefix) }
      try write(stateDict, from: checkpoint, recognition)
      say(
        "wrote  \(printable(output)): \(byteSize(stateDict.byteCount)) in \(stateDict.count) tensors, read again and checked"
      )
    }
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

  private func summary(of stateDict: StateDict) -> String {
    "\(stateDict.count) tensors, \(grouped(stateDict.elementCount)) elements, \(byteSize(stateDict.byteCount))"
  }

  private func say(_ line: String) {
    if !quiet { print(line) }
  }
}
