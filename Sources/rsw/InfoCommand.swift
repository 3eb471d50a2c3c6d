// rsw info: what a checkpoint is.

import ArgumentParser
import Checkpoints
import ResNets

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say what a checkpoint is: container, model, what is wrapped around the weights.")

  @Argument(help: "The checkpoint.")
  var file: String

  @Option(help: ArgumentHelp("The entry of the checkpoint that is the state dict.", valueName: "key"))
  var key: String?

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try Terminal.reporting {
      let checkpoint = try Checkpoint(path: file)
      let stateDict = try checkpoint.resNetStateDict(key: key)
      let recognition = Recognition(stateDict)
      print(
        json
          ? document(checkpoint, stateDict, recognition).text(indented: true)
          : text(checkpoint, stateDict, recognition))
    }
  }

  private func text(_ checkpoint: Checkpoint, _ stateDict: StateDict, _ recognition: Recognition) -> String {
    var rows = [
      ["file", "\(printable(file)) (\(byteSize(checkpoint.byteCount)))"],
      [
        "container",
        checkpoint.container.rawValue + (checkpoint.pickleProtocol.map { ", pickle protocol \($0)" } ?? ""),
      ],
      ["architecture", recognition.description],
    ]
    if let count = recognition.parameterCount { rows.append(["parameters", grouped(count)]) }
    rows.append([
      "tensors",
      "\(stateDict.count), \(grouped(stateDict.elementCount)) elements, \(byteSize(stateDict.byteCount))",
    ])
    rows.append([
      "nesting", stateDict.location.isEmpty ? "none" : "state dict under \(quoted(stateDict.location))",
    ])
    let others = checkpoint.stateDictKeys.filter { $0 != stateDict.location }
    if !others.isEmpty { rows.append(["other dicts", others.map { quoted($0) }.joined(separator: ", ")]) }
    rows.append([
      "prefix",
      recognition.removedPrefix.isEmpty ? "none" : "\(quoted(recognition.removedPrefix)) before every name",
    ])
    if !stateDict.otherEntries.isEmpty {
      rows.append(["not tensors", stateDict.otherEntries.map { quoted($0) }.joined(separator: ", ")])
    }
    rows += checkpoint.metadata.filter { $0.name != "crc32" }.map {
      ["metadata", "\(printable($0.name)): \(printable($0.value))"]
    }
    return table(rows, numeric: [])
  }

  private func document(_ checkpoint: Checkpoint, _ stateDict: StateDict, _ recognition: Recognition) -> JSON
  {
    .object([
      ("schema", .int(1)), ("file", .string(file)), ("bytes", .int(checkpoint.byteCount)),
      ("container", .string(checkpoint.container.rawValue)),
      ("protocol", checkpoint.pickleProtocol.map { .int($0) } ?? .null),
      ("architecture", recognition.architecture?.json ?? .null),
      ("parameters", recognition.parameterCount.map { .int($0) } ?? .null),
      ("tensors", .int(stateDict.count)), ("elements", .int(stateDict.elementCount)),
      ("nesting", .string(stateDict.location)), ("state_dicts", .strings(checkpoint.stateDictKeys)),
      ("prefix", .string(recognition.removedPrefix)), ("not_tensors", .strings(stateDict.otherEntries)),
      ("metadata", .object(checkpoint.metadata.map { ($0.name, .string($0.value)) })),
    ])
  }
}
