// What the tool prints, word for word: the help of every command and the text of every error, in the files of Golden/.
//
// A file of Golden/ is a list of command lines, each followed by what it prints:
//
//     # Text for readers.
//     $ rsw ls nothing.pth
//     ! rsw: nothing.pth: can't be opened: No such file or directory.
//     [66]
//
// "  " begins a line of standard output, "! " one of standard error; "[66]" is an exit status other than 0, and
// "[made out.rsw]" names files that were not there before. A command line is run by /bin/sh in a folder of its own that has
// the folders of Fixtures/ in it; `unprivileged` runs a command without root's right to read everything.
//
// To change a text, or to add a command: write the command lines that are new, without what they print, and run
//
//     RSW_RECORD=convert ./tools/test --filter GoldenTests      (for Golden/convert.txt; `all` for all of them)
//
// which writes what is printed now. Read the difference before you commit it. Every command has a file of its name.

import Foundation
import TestSupport
import Testing

@Suite struct GoldenTests {
  @Test(arguments: Transcript.names) func theToolPrintsWhatItDid(_ name: String) throws {
    let transcript = try Transcript(name)
    let printed = try transcript.blocks.map { ($0.command, try $0.recorded()) }
    if Transcript.isRecorded(name) {
      try transcript.record(printed.map(\.1))
      return
    }
    for (block, (command, now)) in zip(transcript.blocks, printed) {
      #expect(
        now == block.output,
        """
        $ \(command)
        \(firstDifference(now, block.output))
        If it is meant: RSW_RECORD=\(name) ./tools/test --filter GoldenTests
        """)
    }
  }

  @Test func everyCommandHasAFileWithItsHelp() throws {
    let commands = try Command.all()
    #expect(commands.count > 1)
    for command in commands.map(\.commandName) {
      #expect(Transcript.names.contains(command), "Golden/\(command).txt is missing: see GoldenTests.swift")
      let lines = try Transcript(command).blocks.map(\.command)
      #expect(lines.contains("rsw help \(command)"), "Golden/\(command).txt has no 'rsw help \(command)'")
    }
  }

  /// Every option appears in a command line, so that what it says to a bad value is recorded, or that it takes any.
  @Test func everyOptionWithAValueIsTried() throws {
    for command in try Command.all() {
      let lines = try Transcript(command.commandName).blocks.map(\.command)
      for option in command.options {
        #expect(
          lines.contains {
            $0.contains(" \(option) ") || $0.contains(" \(option)=") || $0.hasSuffix(" \(option)")
          },
          "Golden/\(command.commandName).txt never uses \(option)")
      }
    }
  }

  private func firstDifference(_ now: [String], _ then: [String]) -> String {
    let index =
      zip(now, then).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(now.count, then.count)
    let (new, old) = (now.dropFirst(index).first, then.dropFirst(index).first)
    return "line \(index + 1) is now \(new ?? "(none)"), and was \(old ?? "(none)")"
  }
}

/// A command as the tool describes it for programs.
private struct Command: Decodable {
  private struct Description: Decodable { let command: Tool }
  private struct Tool: Decodable { let subcommands: [Command] }
  private struct Argument: Decodable {
    struct Name: Decodable { let name: String }
    let kind: String
    let names: [Name]?
    let shouldDisplay: Bool
  }

  let commandName: String
  private let arguments: [Argument]?

  /// The names of what takes a value.
  var options: [String] {
    (arguments ?? []).filter { $0.kind == "option" && $0.shouldDisplay }
      .compactMap { argument in argument.names?.map(\.name).max { $0.count < $1.count }.map { "--" + $0 } }
  }

  static func all() throws -> [Command] {
    let description = try rswTests.Tool.run("--experimental-dump-help").output
    return try JSONDecoder().decode(Description.self, from: Data(description.utf8)).command.subcommands
      .filter { $0.commandName != "help" }
  }
}

/// A file of Golden/.
private struct Transcript {
  struct Block {
    /// What stands between the output before and the command.
    let text: [String]
    let command: String
    let output: [String]
  }

  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden")
  private let url: URL
  let blocks: [Block]

  /// All files, without their extension.
  static let names: [String] =
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
    .filter { $0.hasSuffix(".txt") }.map { String($0.dropLast(4)) }.sorted()

  /// Whether the file of this name is to be written anew.
  static func isRecorded(_ name: String) -> Bool {
    let names = ProcessInfo.processInfo.environment["RSW_RECORD"]?.split(separator: ",") ?? []
    return names.contains("all") || names.contains(name[...])
  }

  init(_ name: String) throws {
    url = Transcript.folder.appending(path: "\(name).txt")
    var blocks: [Block] = []
    var (text, command, output): ([String], String?, [String]) = ([], nil, [])
    func end() {
      if let command {
        blocks.append(Block(text: text, command: command, output: output))
        text = []
      }
    }
    for line in try String(contentsOf: url, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false)
    {
      if line.hasPrefix("$ ") {
        end()
        (command, output) = (String(line.dropFirst(2)), [])
      } else if line.hasPrefix("#") {
        end()
        command = nil
        text.append(String(line))
      } else if !line.isEmpty {
        output.append(String(line))
      }
    }
    end()
    self.blocks = blocks
  }

  /// Writes the file with these outputs.
  func record(_ outputs: [[String]]) throws {
    let parts = zip(blocks, outputs).map { block, output in
      (block.text + ["$ " + block.command] + output).joined(separator: "\n")
    }
    try Data((parts.joined(separator: "\n\n") + "\n").utf8).write(to: url)
  }
}

extension Transcript.Block {
  private static let folders = ["bad", "dialects", "digits", "models", "photos", "reading"]

  private static let prologue = """
    unprivileged() {
      if [ "$(id -u)" = 0 ]; then setpriv --bounding-set=-dac_override,-dac_read_search "$@"; else "$@"; fi
    }

    """

  /// Runs the command.
  ///
  /// - Returns: the lines that follow it in a file.
  func recorded() throws -> [String] {
    let folder = try TemporaryFolder()
    for name in Self.folders {
      try FileManager.default.createSymbolicLink(
        atPath: folder.path(name), withDestinationPath: Fixtures.path(name))
    }
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", Self.prologue + command]
    process.currentDirectoryURL = URL(filePath: folder.path(""))
    var environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("RSW_") }
    environment["PATH"] =
      Tool.url.deletingLastPathComponent().path + ":" + (environment["PATH"] ?? "/usr/bin:/bin")
    environment["COLUMNS"] = "80"
    environment["LC_ALL"] = "C"
    process.environment = environment
    process.standardInput = FileHandle.nullDevice
    // In files, as either stream may be longer than a pipe holds.
    let outputs = try TemporaryFolder()
    let (output, errors) = (try outputs.write([], as: "output"), try outputs.write([], as: "errors"))
    process.standardOutput = FileHandle(forWritingAtPath: output)
    process.standardError = FileHandle(forWritingAtPath: errors)
    try process.run()
    process.waitUntilExit()

    var lines = try Self.lines(of: output, after: "  ") + Self.lines(of: errors, after: "! ")
    if process.terminationStatus != 0 { lines.append("[\(process.terminationStatus)]") }
    let made = folder.contents.filter { !Self.folders.contains($0) }
    if !made.isEmpty { lines.append("[made \(made.joined(separator: ", "))]") }
    return lines
  }

  /// The lines of a file, but for empty ones.
  private static func lines(of file: String, after prefix: String) throws -> [String] {
    try String(decoding: Data(contentsOf: URL(filePath: file)), as: UTF8.self)
      .split(separator: "\n").map { prefix + $0 }
  }
}
