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
    discussion: """
      rsw info resnet50.pth                     says what it is
      rsw convert resnet50.pth resnet50.rsw     makes it a file that opens at once
      rsw run resnet50.rsw --input images.npy   prints the best classes

      Results go to standard output, all else to standard error. The exit status is 0 when all is done, 1 when a check \
      does not hold, 64 for wrong usage, 65 for bad data, 66 when there is no input, 69 when a library is missing, 73 when the output can't be \
      written, 74 when a read or write failed.
      """,
    version: rswVersion,
    subcommands: [
      Convert.self, List.self, Info.self, Diff.self, Verify.self, Show.self, Classify.self,
      Features.self, Run.self, Bench.self, Report.self, Fetch.self,
    ])

  static func main() {
    Terminal.explainVanishedPages()
    // Nearly every command needs them, and they can be read while the arguments are.
    DispatchQueue.global().async { _ = Dialect.all }
    if let unknown = unknownCommand(CommandLine.arguments.dropFirst().first { $0 != "help" }) {
      exit(withError: unknown)
    }
    if let problem = InstructionSetChoice.problem { exit(withError: ValidationError(problem)) }
    guard var command = parsedCommand(Array(CommandLine.arguments.dropFirst())) else { return main(nil) }
    do {
      try command.run()
    } catch {
      exit(withError: error)
    }
  }

  /// The command that `arguments` name if there is nothing wrong with them, parsed without a look at all others, which takes
  /// a millisecond or two.
  private static func parsedCommand(_ arguments: [String]) -> (any ParsableCommand)? {
    guard let name = arguments.first,
      let command = configuration.subcommands.first(where: { $0._commandName == name })
    else { return nil }
    return try? parsed(command, Array(arguments.dropFirst()))
  }

  private static func parsed<Command: ParsableCommand>(
    _ command: Command.Type, _ arguments: [String]
  ) throws -> any ParsableCommand {
    try command.parse(arguments)
  }

  /// The error of a first argument that should be a command and is none.
  private static func unknownCommand(_ argument: String?) -> ValidationError? {
    let names = configuration.subcommands.map { $0._commandName }
    guard let argument, !argument.hasPrefix("-"), !names.contains(argument) else { return nil }
    let nearest = nearestNames(to: argument, among: names, most: 3)
    return ValidationError(
      "There is no command \(quoted(argument)). "
        + (nearest.isEmpty
          ? "There are \(names.dropLast().joined(separator: ", ")) and \(names.last ?? "")."
          : "Did you mean \(nearest.joined(separator: " or "))?"))
  }
}
