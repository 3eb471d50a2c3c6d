// rsw ls: the tensors of a checkpoint.

import ArgumentParser
import Checkpoints
import ResNets

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ls", abstract: "List the tensors of a checkpoint: name, dtype, shape, bytes.")

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
      print(json ? document(stateDict).text(indented: true) : text(stateDict))
    }
  }

  private func text(_ stateDict: StateDict) -> String {
    let rows = stateDict.map { name, tensor in
      [printable(name, longest: .max), "\(tensor.dtype)", "\(tensor.shape)", grouped(tensor.byteCount)]
    }
    let total =
      "\(stateDict.count) tensors, \(grouped(stateDict.elementCount)) elements, \(grouped(stateDict.byteCount)) bytes"
    return rows.isEmpty ? total : table(rows, numeric: [3]) + "\n" + total
  }

  private func document(_ stateDict: StateDict) -> JSON {
    let tensors: [JSON] = stateDict.map { name, tensor in
      .object([
        ("name", .string(name)), ("dtype", .string(tensor.dtype.rawValue)), ("shape", .ints(tensor.shape)),
        ("bytes", .int(tensor.byteCount)),
      ])
    }
    return .object([
      ("schema", .int(1)), ("file", .string(file)), ("tensors", .array(tensors)),
      ("elements", .int(stateDict.elementCount)), ("bytes", .int(stateDict.byteCount)),
    ])
  }
}
