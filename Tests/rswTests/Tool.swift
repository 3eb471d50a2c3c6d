// The tool as a process.

import Foundation

enum Tool {
  struct Outcome {
    let status: Int32
    let output: String
    let errors: String
  }

  /// The tool is built beside the test program.
  static let url = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent().appending(path: "rsw")

  static func run(_ arguments: String...) throws -> Outcome { try run(arguments) }

  /// - Parameter changes: variables of the environment, those to be removed as nil.
  static func run(_ arguments: [String], environment changes: [String: String?] = [:]) throws -> Outcome {
    let process = Process()
    process.executableURL = url
    process.arguments = arguments
    var environment = ProcessInfo.processInfo.environment
    for (name, value) in changes { environment[name] = value }
    process.environment = environment
    let (output, errors) = (Pipe(), Pipe())
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    // Nothing here prints more to stderr than its pipe holds.
    let printed = output.fileHandleForReading.readDataToEndOfFile()
    let complaints = errors.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus, output: String(decoding: printed, as: UTF8.self),
      errors: String(decoding: complaints, as: UTF8.self))
  }
}
