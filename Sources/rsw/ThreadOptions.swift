// How many threads a command that runs networks uses.

import ArgumentParser
import ResNets

struct ThreadOptions: ParsableArguments {
  @Option(parsing: .unconditional, help: "How many threads to use (default: one for each CPU).")
  var threads: Int?

  func validate() throws {
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads must be between 1 and 1024.")
    }
  }

  func apply(to network: inout ResNet) {
    if let threads { network.threadCount = threads }
  }
}
