// rsw info: what a checkpoint is.

import ArgumentParser
import Checkpoints
import Inference
import ResNets

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Say what a checkpoint is: container, model, what is wrapped around the weights, what it names."
  )

  @Argument(help: "The checkpoint.", completion: .checkpoint)
  var file: String

  @OptionGroup var options: CheckpointOptions
  @OptionGroup var hintOptions: HintOptions

  @Flag(help: "Print JSON.")
  var json = false

  func run() throws {
    try Terminal.reporting {
      let checkpoint = try options.open(file)
      let finding = try concerning(file) { try Finding(checkpoint, key: options.key, hintOptions) }
      print(
        json
          ? document(checkpoint, finding).text(indented: true)
          : text(fileRows(checkpoint) + modelRows(checkpoint, finding) + pickleRows(checkpoint)))
    }
  }

  /// The state dict of a file, or why there is none to be chosen.
  private struct Finding {
    let stateDict: StateDict
    let model: Identification
    let reason: CheckpointError?
    /// What passes on an image of the usual size need beside the tensors; nil for what is no ResNet.
    let memory: PlanMemory?

    /// - Throws: what is wrong with the file; that it holds none or several state dicts is no fault.
    init(_ checkpoint: Checkpoint, key: String?, _ options: HintOptions) throws {
      var stateDict = StateDict()
      var reason: CheckpointError?
      do throws(CheckpointError) {
        stateDict = try checkpoint.resNetStateDict(key: key)
      } catch {
        guard key == nil, [.ambiguous, .noStateDict].contains(error.code) else { throw error }
        reason = error
      }
      self.stateDict = stateDict
      self.reason = reason
      model = try Identification(stateDict, options.hints().and(checkpoint), isRequired: options.isGiven)
      memory = model.recognition.flatMap { try? ResNet($0.architecture).memory(for: [1, 3, 224, 224]) }
    }
  }

  // MARK: Text

  /// Titles and what they are of, side by side.
  private func text(_ rows: [[String]]) -> String {
    let widest = rows.map { $0[0].count }.max() ?? 0
    return Terminal.fit(table(rows, numeric: []), indent: widest + 2)
  }

  private func fileRows(_ checkpoint: Checkpoint) -> [[String]] {
    var rows = [["file", "\(printable(file)) (\(byteSize(checkpoint.byteCount)))"]]
    if let member = checkpoint.member { rows[0][1] = "\(printable(member)) in \(rows[0][1])" }
    rows.append([
      "container",
      checkpoint.container.rawValue + (checkpoint.pickleProtocol.map { ", pickle protocol \($0)" } ?? ""),
    ])
    if let writer = checkpoint.writer { rows.append(["writer", printable(writer)]) }
    return rows
  }

  private func modelRows(_ checkpoint: Checkpoint, _ finding: Finding) -> [[String]] {
    if let reason = finding.reason { return [["state dict", "none chosen: it \(reason.message)"]] }
    let (stateDict, model) = (finding.stateDict, finding.model)
    let architecture = model.recognition?.architecture.description ?? model.description
    var rows = [["architecture", architecture]]
    if let recognition = model.recognition {
      rows += recognition.steps.filter { $0 != architecture }.map { ["recognition", $0] }
    }
    if let alternatives = model.alternatives { rows.append(["ambiguity", alternatives]) }
    if let count = model.parameterCount { rows.append(["parameters", grouped(count)]) }
    rows.append([
      "tensors",
      "\(stateDict.count), \(grouped(stateDict.elementCount)) elements, \(byteSize(stateDict.byteCount))",
    ])
    rows.append([
      "nesting", stateDict.location.isEmpty ? "none" : "state dict under \(quoted(stateDict.location))",
    ])
    if let memory = finding.memory {
      rows.append([
        "to run it",
        "\(byteSize(memory.weights)) of packed weights and \(byteSize(memory.workspace)) for each pass at a time "
          + "(1 image of 224×224)",
      ])
    }
    let others = checkpoint.stateDictKeys.filter { $0 != stateDict.location }
    if !others.isEmpty { rows.append(["other dicts", list(others)]) }
    let prefix = model.recognition?.mapping.prefix ?? ""
    rows.append(["prefix", prefix.isEmpty ? "none" : "\(quoted(prefix)) before the names"])
    if !stateDict.otherEntries.isEmpty { rows.append(["not tensors", list(stateDict.otherEntries)]) }
    if !stateDict.nestedEntries.isEmpty {
      rows.append(["tensors inside", list(stateDict.nestedEntries) + " (ls --all lists them)"])
    }
    rows += stateDict.ties.prefix(20).map { ["shared memory", list($0)] }
    let unused = checkpoint.unusedBytes(beside: stateDict)
    if unused > 0 { rows.append(["unused", "\(byteSize(unused)) of storages that no tensor above uses"]) }
    rows += checkpoint.metadata.filter { $0.name != "crc32" }.map {
      ["metadata", "\(printable($0.name)): \(printable($0.value))"]
    }
    return rows
  }

  /// Every class and function that the file names.
  private func pickleRows(_ checkpoint: Checkpoint) -> [[String]] {
    let globals = checkpoint.globals
    var rows = globals.map { global in
      let verdict =
        global.isDangerous
        ? "DANGEROUS: could run code where this file is loaded by Python; nothing was executed"
        : global.isKnown ? "known" : "unknown, kept as data"
      return ["names", "\(printable(global.name))  (\(verdict))"]
    }
    if globals.contains(where: \.isDangerous) {
      rows.append(["warning", "do not load this file with Python's pickle or torch.load(weights_only=False)"])
    }
    return rows
  }

  private func list(_ names: [String]) -> String {
    names.prefix(20).map { quoted($0) }.joined(separator: ", ")
      + (names.count > 20 ? ", … (\(names.count))" : "")
  }

  // MARK: JSON

  private func document(_ checkpoint: Checkpoint, _ finding: Finding) -> JSON {
    let (stateDict, recognition) = (finding.stateDict, finding.model.recognition)
    let globals: [JSON] = checkpoint.globals.map { global in
      .object([
        ("name", .string(global.name)), ("known", .bool(global.isKnown)),
        ("dangerous", .bool(global.isDangerous)),
      ])
    }
    return .object([
      ("schema", .int(1)), ("file", .string(file)),
      ("member", checkpoint.member.map { .string($0) } ?? .null),
      ("bytes", .int(checkpoint.byteCount)), ("container", .string(checkpoint.container.rawValue)),
      ("writer", checkpoint.writer.map { .string($0) } ?? .null),
      ("protocol", checkpoint.pickleProtocol.map { .int($0) } ?? .null),
      ("no_state_dict", finding.reason.map { .string($0.message) } ?? .null),
      ("architecture", recognition?.architecture.json ?? .null),
      ("recognition", .strings(recognition?.steps ?? [finding.model.description])),
      ("alternatives", .strings(recognition?.alternatives ?? [])),
      ("dialect", recognition.map { .string($0.mapping.dialect) } ?? .null),
      ("left_out", .strings(recognition?.mapping.leftOut ?? [])),
      ("parameters", finding.model.parameterCount.map { .int($0) } ?? .null),
      ("packed_weights_bytes", finding.memory.map { .int($0.weights) } ?? .null),
      ("workspace_bytes", finding.memory.map { .int($0.workspace) } ?? .null),
      ("tensors", .int(stateDict.count)), ("elements", .int(stateDict.elementCount)),
      ("nesting", .string(stateDict.location)), ("state_dicts", .strings(checkpoint.stateDictKeys)),
      ("prefix", .string(recognition?.mapping.prefix ?? "")),
      ("not_tensors", .strings(stateDict.otherEntries)),
      ("tensors_inside", .strings(stateDict.nestedEntries)),
      ("shared_memory", .array(stateDict.ties.map { .strings($0) })),
      ("unused_bytes", .int(checkpoint.unusedBytes(beside: stateDict))),
      ("metadata", .object(checkpoint.metadata.map { ($0.name, .string($0.value)) })),
      ("globals", .array(globals)),
    ])
  }
}
