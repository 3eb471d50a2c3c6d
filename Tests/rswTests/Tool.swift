// The tool as a process.

import Foundation
import Testing

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

  /// Environments in which nothing is drawn on a terminal.
  static let plainTerminals = [["TERM": "dumb"], ["TERM": "xterm", "NO_COLOR": "1"]]

  /// What the tool prints to a terminal.
  static func runOnTerminal(_ arguments: [String], _ environment: [String: String]) throws -> String {
    var (terminal, end): (CInt, CInt) = (0, 0)
    try #require(openpty(&terminal, &end, nil, nil, nil) == 0)
    defer { close(terminal) }
    let process = Process()
    process.executableURL = url
    process.arguments = arguments
    process.environment = environment
    process.standardOutput = FileHandle(fileDescriptor: end)
    process.standardError = FileHandle.nullDevice
    try process.run()
    close(end)
    // A terminal holds little, so it is read while the tool prints; its end is an error on Linux.
    var (printed, piece): ([UInt8], [UInt8]) = ([], [UInt8](repeating: 0, count: 1 << 12))
    while case let count = read(terminal, &piece, piece.count), count > 0 { printed += piece.prefix(count) }
    process.waitUntilExit()
    return String(decoding: printed, as: UTF8.self).replacingOccurrences(of: "\r\n", with: "\n")
  }
}
