// The command-line tool: arguments in; text, progress and files out. A command is a file.

import ArgumentParser
import Checkpoints
import Inference

@main
struct RSW: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rsw",
    abstract: "Reads PyTorch's pretrained weights without Python, converts them, and runs ResNets.",
    version: rswVersion,
    subcommands: [Convert.self, List.self, Info.self, Diff.self, Run.self, Bench.self])

  static func main() {
    MatrixEngine.endForeignThreads()
    Terminal.explainVanishedPages()
    main(nil)
  }
}
