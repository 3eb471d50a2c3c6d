// What every command that opens a checkpoint lets the user choose.

import ArgumentParser
import Checkpoints
import ResNets

/// Which part of a file is meant.
struct CheckpointOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The entry of the checkpoint that is the state dict.", valueName: "key"))
  var key: String?

  @Option(
    help: ArgumentHelp("The member of a zip archive that is the checkpoint.", valueName: "name"))
  var member: String?

  /// Opens the file at `path`, or its member.
  func open(_ path: String) throws(CheckpointError) -> Checkpoint {
    try Checkpoint(path: path, member: member)
  }
}

/// What is known about a model beside its file.
struct HintOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The published variant, where its keys and shapes are those of another one too.", valueName: "name"),
    completion: .variant)
  var arch: String?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "What keys and shapes can't tell: stride=first|second, antialiasing=none|average|blur, dilated=3,4, head=adaptive|tutorial, pool=padded|ceil, stem_stride=1|2, stem_pool=none|max, eps=X, norm_groups=N.",
      valueName: "name=value"))
  var settings: [String] = []

  @Option(
    help: ArgumentHelp(
      "Rename keys before anything else: 'enc.{s}.{*}=layer{s+1}.{*}'. {s} is a number, {*} the rest.",
      valueName: "old=new"))
  var map: [String] = []

  @Option(help: ArgumentHelp("A file of such rules, one a line.", valueName: "file"), completion: .file())
  var mapFile: String?

  /// Whether the user said what the model is.
  var isGiven: Bool { arch != nil || !settings.isEmpty }

  func validate() throws {
    do {
      try check(pairs)
      for rule in map { _ = try KeyMap.Rule(rule) }
    } catch let error as ValidationError {
      throw error
    } catch {
      throw ValidationError("\(error)")
    }
    if let arch, Architecture(named: arch) == nil {
      let nearest = nearestNames(to: arch, among: Variant.all.map(\.name), most: 3)
      throw ValidationError(
        "There is no variant \(quoted(arch)). "
          + (nearest.isEmpty ? "" : "Did you mean \(nearest.joined(separator: " or "))? ")
          + "Completions of the shell and docs/Models.md list all.")
    }
  }

  /// Refuses settings that no network has.
  private func check(_ settings: [(name: String, value: String)]) throws {
    var any = Architecture(block: .bottleneck, layers: [1, 1, 1, 1])
    for (name, value) in settings { try any.set(name, value) }
  }

  /// Names and values of the settings.
  private var pairs: [(name: String, value: String)] {
    get throws {
      try settings.map { setting in
        let sides = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard sides.count == 2 else {
          throw ValidationError("--set takes name=value, not \(quoted(setting)).")
        }
        return (String(sides[0]), String(sides[1]))
      }
    }
  }

  func hints() throws -> Hints {
    var hints = Hints(architecture: arch)
    hints.settings = try pairs
    var rules: [KeyMap.Rule] = []
    for rule in map { rules.append(try KeyMap.Rule(rule)) }
    if let mapFile {
      let map = try concerning(mapFile) {
        let bytes = try Bytes(mapping: mapFile)
        guard bytes.count <= KeyMap.longest else {
          throw CheckpointError(
            .limitExceeded, "has \(bytes.count) bytes; maps have at most \(KeyMap.longest).")
        }
        let map = try KeyMap(parsing: String(decoding: bytes.array, as: UTF8.self))
        try check(map.settings)
        return map
      }
      rules += map.rules
      hints.settings = map.settings + hints.settings
    }
    hints.map = KeyMap(rules)
    return hints
  }
}

/// Whether everything in the file is meant.
struct SelectionOptions: ParsableArguments {
  @OptionGroup var checkpoint: CheckpointOptions

  @Flag(help: "Take every tensor in the file, under its full dotted path.")
  var all = false

  func validate() throws {
    if all, checkpoint.key != nil { throw ValidationError("--all and --key exclude each other.") }
  }

  /// The state dict that is meant, or every tensor.
  func stateDict(of file: Checkpoint) throws(CheckpointError) -> StateDict {
    try all ? file.allTensors() : file.resNetStateDict(key: checkpoint.key)
  }
}
