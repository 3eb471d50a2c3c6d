// rsw convert: a checkpoint becomes a file of another format.

import ArgumentParser
import Checkpoints
import ResNets

extension OutputFormat: ExpressibleByArgument {}

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Convert a checkpoint to an .rsw file, which any safetensors reader opens too, or to another format.",
    discussion: """
      Checksums recorded in the checkpoint are verified, and the new file is read again before it \
      appears under its name. A ResNet's tensors get torchvision's names, or those that --to asks for; \
      whatever lies beside it in the checkpoint keeps its own.
      """)

  @Argument(
    help:
      "The checkpoint: a PyTorch .pth, .pt or .bin, TorchScript, safetensors, npz or rsw file, or an index.json."
  )
  var input: String

  @Argument(
    help:
      "The file to write; .safetensors, .pth, .pt, .bin and .npz at its end say the format, else it is rsw.")
  var output: String?

  @Option(help: "The format to write, whatever the file's name.")
  var format: OutputFormat?

  @OptionGroup var selection: SelectionOptions
  @OptionGroup var hintOptions: HintOptions

  @Option(
    help: ArgumentHelp(
      "Whose names the tensors get: \(Dialect.all.map(\.name).joined(separator: ", ")) or timm.",
      valueName: "dialect"))
  var to: String?

  @Option(
    help: ArgumentHelp(
      "Write only tensors whose new names match, such as 'layer4.*'; may be repeated.", valueName: "glob"))
  var only: [String] = []

  @Option(help: ArgumentHelp("Leave out tensors whose new names match; may be repeated.", valueName: "glob"))
  var without: [String] = []

  @Option(
    help: ArgumentHelp(
      "Write floating-point tensors as f32, f16 or bf16, rounded to the nearest; BatchNorm's statistics stay as they are.",
      valueName: "type"))
  var dtype: Precision?

  @Flag(help: "With --dtype: statistics and integers too.")
  var dtypeAll = false

  @Option(
    help: ArgumentHelp(
      "ohwi writes the weights of convolutions as [out, height, width, in], which MLX takes.",
      valueName: "layout"))
  var layout: WeightOrder = .oihw

  @Option(
    help: ArgumentHelp(
      "Write several files of at most this size, such as 2GB or 500MiB, with an index beside them; safetensors and torch only.",
      valueName: "size"))
  var shard: FileSize?

  @Flag(help: "Wait until everything is on the disk.")
  var sync = false

  @Flag(help: "Write nothing: print which tensor gets which name.")
  var dryRun = false

  @Flag(help: "Write quantized and sparse tensors as ordinary ones.")
  var dense = false

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @Flag(help: "Print nothing but errors.")
  var quiet = false

  func validate() throws {
    if output == nil, !dryRun { throw ValidationError("Missing expected argument '<output>'") }
    if let to, Dialect(named: to) == nil {
      throw ValidationError(
        "There is no dialect '\(to)'; there are \(Dialect.all.map(\.name).joined(separator: ", ")) and timm.")
    }
    if dtypeAll, dtype == nil { throw ValidationError("--dtype-all goes with --dtype.") }
    let written = format ?? OutputFormat(path: output ?? "")
    if layout != .oihw, written == .rsw {
      throw ValidationError("An rsw file keeps PyTorch's layout: choose another format for --layout.")
    }
    if selection.all, to != nil { throw ValidationError("--all and --to exclude each other.") }
  }

  func run() throws {
    try Terminal.reporting {
      if let output, isSameFile(input, output) {
        throw CheckpointError(.cannotWrite, "is the input itself: choose another name.").inFile(output)
      }
      let checkpoint = try selection.checkpoint.open(input)
      let source = try selection.stateDict(of: checkpoint)
      let (model, naming) = try concerning(input) {
        let hints = try hintOptions.hints().and(checkpoint)
        let model = try Identification(source, hints, isRequired: hintOptions.isGiven || to != nil)
        var naming = try Naming(source, selection.all ? nil : model.recognition, to: to, hints.map)
        try naming.keep(only: only, without: without)
        return (model, naming)
      }
      if dryRun {
        print(naming.table)
        return
      }
      var description = describe(source, checkpoint, model)
      let stateDict = try concerning(input) {
        var stateDict = try naming.stateDict(dense: dense)
        if layout == .ohwi { stateDict = try stateDict.withChannelsLast() }
        guard let dtype else { return stateDict }
        let statistics = naming.statistics
        let (converted, losses) = try stateDict.converted(to: dtype.dtype) { name, tensor in
          dtypeAll || tensor.dtype.isFloatingPoint && !statistics.contains(name)
        }
        description += "\n" + report(losses, dtype)
        return converted
      }
      let files = try write(stateDict, from: checkpoint, model)
      if !quiet {
        print(description)
        let shards = files.count > 1 ? " and the \(files.count - 1) files that it names" : ""
        print(
          "wrote  \(printable(files.last ?? ""))\(shards): \(naming.count) tensors, read again and compared")
      }
    }
  }

  /// What was found in the input, a line each.
  private func describe(_ stateDict: StateDict, _ checkpoint: Checkpoint, _ model: Identification) -> String {
    var lines = [
      "read   \(printable(input)): \(checkpoint.container.rawValue), \(stateDict.count) tensors, "
        + "\(grouped(stateDict.elementCount)) elements, \(byteSize(stateDict.byteCount))"
    ]
    if !stateDict.location.isEmpty { lines.append("       state dict under \(quoted(stateDict.location))") }
    if !stateDict.otherEntries.isEmpty {
      let names = stateDict.otherEntries.prefix(5).map { quoted($0) }.joined(separator: ", ")
      lines.append(
        "       left out, as they are no tensors: \(names)\(stateDict.otherEntries.count > 5 ? ", …" : "")")
    }
    if !stateDict.nestedEntries.isEmpty {
      let names = stateDict.nestedEntries.prefix(5).map { quoted($0) }.joined(separator: ", ")
      lines.append(
        "       left out, though they hold tensors (--all takes them): \(names)\(stateDict.nestedEntries.count > 5 ? ", …" : "")"
      )
    }
    lines.append("model  \(model.description)")
    if let alternatives = model.alternatives { lines.append("       \(alternatives)") }
    return lines.joined(separator: "\n")
  }

  /// What a conversion to fewer bits lost.
  private func report(_ losses: [PrecisionLoss], _ precision: Precision) -> String {
    let elements = losses.reduce(0) { $0 + $1.elements }
    var text = "dtype  \(losses.count) tensors to \(precision.dtype), \(grouped(elements)) elements"
    func add(_ what: String, _ count: (PrecisionLoss) -> Int) {
      let touched = losses.filter { count($0) > 0 }
      let names = touched.prefix(3).map { printable($0.name) }.joined(separator: ", ")
      if touched.isEmpty { return }
      text +=
        "\n       \(grouped(touched.reduce(0) { $0 + count($1) })) \(what): \(names)\(touched.count > 3 ? ", …" : "")"
    }
    add("too large for it became infinite", \.overflows)
    add("too small for it became zero", \.underflows)
    if losses.allSatisfy({ $0.overflows == 0 && $0.underflows == 0 }) {
      text += "; none overflowed, none became zero"
    }
    return text
  }

  private func write(_ stateDict: StateDict, from checkpoint: Checkpoint, _ model: Identification) throws
    -> [String]
  {
    guard let output else { return [] }
    let format = format ?? OutputFormat(path: output)
    var options = WriteOptions()
    (options.source, options.replacing) = (checkpoint, force)
    (options.synchronizing, options.shardBytes) = (sync, shard?.bytes)
    options.architecture = model.recognition?.architecture.json.text()
    // The metadata of an rsw file is about that file; any other's is kept.
    let kept = checkpoint.container == .rsw ? [] : checkpoint.metadata
    options.metadata = kept.isEmpty ? [("format", "pt")] : kept
    if layout != .oihw { options.metadata.append(("layout", layout.rawValue)) }
    let draws = Terminal.showsProgress && !quiet
    defer { if draws { Terminal.clearProgress() } }
    return try concerning(input) {
      try stateDict.write(to: output, as: format, options: options) { done, total in
        if draws { Terminal.draw(progress: done, of: total) }
      }
    }
  }
}
