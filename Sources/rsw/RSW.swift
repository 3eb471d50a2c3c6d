// The command-line tool: arguments in; text, progress and files out. A command is a file.

import ArgumentParser
import Inference

@main
struct RSW: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rsw",
    abstract: "Reads PyTorch's pretrained weights without Python, converts them, and runs ResNets.",
    version: "0.1.0",
    subcommands: [
      Convert.self, List.self, Info.self, Diff.self, Verify.self, Show.self, Run.self, Bench.self,
    ])

  static func main() {
    MatrixEngine.endForeignThreads()
    Terminal.explainVanishedPages()
    main(nil)
  }
}
