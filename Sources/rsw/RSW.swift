// The command-line tool: arguments in; text, progress and files out. A command is a file.

import ArgumentParser
import Checkpoints
import Dispatch
import Inference
import ResNets

// Each command says its name, though ArgumentParser could tell it from the type's: asking the runtime for that of all
// of them takes a millisecond and a half of every start.

@main
struct RSW: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rsw",
    abstract: "Reads PyTorch's pretrained weights without Python, converts them, and runs ResNets.",
    version: rswVersion,
    subcommands: [
      Convert.self, List.self, Info.self, Diff.self, Verify.self, Show.self, Classify.self,
      Features.self, Run.self, Bench.self, Report.self, Fetch.self,
    ])

  static func main() {
    MatrixEngine.endForeignThreads()
    Terminal.explainVanishedPages()
    // Nearly every command needs them, and they can be read while the arguments are.
    DispatchQueue.global().async { _ = Dialect.all }
    main(nil)
  }
}
