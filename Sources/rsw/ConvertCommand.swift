// rsw convert: a checkpoint becomes a file of another format.

import ArgumentParser
import Checkpoints
import NN
import ResNets

struct Convert: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert",
    abstract:
      "Convert a checkpoint to an .rsw file, which any safetensors reader opens too, to another format, or to ONNX.",
    discussion: """
      Checksums recorded in the checkpoint are verified, and the new file is read again before it \
      appears under its name. A ResNet's tensors get torchvision's names, or those that --to asks for; \
      whatever lies beside it in the checkpoint keeps its own. An ONNX model holds the ResNet itself, with \
      float32 weights.
      """)

  @Argument(
    help:
      "The checkpoint: a PyTorch .pth, .pt or .bin, TorchScript, safetensors, npz or rsw file, or an index.json.",
    completion: .checkpoint
  )
  var input: String

  @Argument(
    help:
      "The file to write; .safetensors, .pth, .pt, .bin, .npz and .onnx at its end say the format, else it is rsw.",
    completion: .converted
  )
  var output: String?

  @Option(help: "The format to write, whatever the file's name.")
  var format: ConvertedFormat?

  @OptionGroup var selection: SelectionOptions
  @OptionGroup var hintOptions: HintOptions

  @Option(
    help: ArgumentHelp(
      "Whose names the tensors get: \(dialectNames.dropLast().joined(separator: ", ")) or timm.",
      valueName: "dialect"), completion: .dialect)
  var to: String?

  @Option(
    help: ArgumentHelp(
      "Write only tensors whose new names match, such as 'layer4.*'; may be repeated.", valueName: "glob"))
  var only: [String] = []

  @Option(help: ArgumentHelp("Leave out tensors whose new names match; may be repeated.", valueName: "glob"))
  var without: [String] = []

  @Option(
    help: ArgumentHelp(
      "Write float64, float32, float16 and bfloat16 tensors as f32, f16 or bf16, rounded to the nearest; BatchNorm's statistics stay as they are.",
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
      "Write several files whose tensors take at most this size, such as 2GB or 500MiB, with an index beside them; safetensors and torch only.",
      valueName: "size"))
  var shard: FileSize?

  @Flag(help: "Wait until everything is on the disk.")
  var sync = false

  @Flag(
    help:
      "Fold each BatchNorm of a ResNet into the convolution before it, whose weight and bias become float32; leave out what lies beside the network."
  )
  var foldBN = false

  @OptionGroup(title: "ONNX options") var onnx: ONNXExportOptions

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
    if let output, writtenFormat == nil {
      let ending = printable(String(output.split(separator: ".").last ?? ""))
      throw ValidationError(
        "There is no format for names that end with .\(ending): end it with one of "
          + "\(OutputFormat.listOfEndings), .onnx, or say --format."
      )
    }
    if let to, target == nil {
      throw ValidationError(
        "There is no dialect \(quoted(to)); there are \(dialectNames.dropLast().joined(separator: ", ")) and timm."
      )
    }
    if dtypeAll, dtype == nil { throw ValidationError("--dtype-all goes with --dtype.") }
    if shard != nil, case .tensors(let format)? = writtenFormat,
      !format.canBeSharded
    {
      throw ValidationError("\(format.rawValue) is one file: only safetensors and torch can be sharded.")
    }
    if layout != .oihw, case .tensors(.rsw)? = writtenFormat {
      throw ValidationError("An rsw file keeps PyTorch's layout: choose another format for --layout.")
    }
    if selection.all, to != nil { throw ValidationError("--all and --to exclude each other.") }
    if selection.all, foldBN { throw ValidationError("--all and --fold-bn exclude each other.") }
    if writesONNX {
      let isPartial = selection.all || to != nil || !only.isEmpty || !without.isEmpty
      if isPartial || dense || dryRun || dtype != nil || layout != .oihw || shard != nil {
        throw ValidationError(
          "An ONNX model is a whole ResNet in float32: leave out --all, --to, --only, --without, --dense, --dtype, "
            + "--layout, --shard and --dry-run.")
      }
    } else if onnx.isGiven {
      throw ValidationError(
        "--batch, --size and --largest-file are for ONNX: name a file that ends with .onnx.")
    }
  }

  /// Whose names the tensors get, where --to says so.
  private var target: Dialect? { to.flatMap { Dialect(named: $0) } }

  /// What is written: what --format says, else what the output's name asks for.
  private var writtenFormat: ConvertedFormat? { format ?? output.flatMap { ConvertedFormat(path: $0) } }

  private var writesONNX: Bool {
    if case .onnx? = writtenFormat { true } else { false }
  }

  func run() throws {
    try Terminal.reporting {
      if let output { try requireOther(output, than: [input]) }
      let checkpoint = try selection.checkpoint.open(input)
      let source = try selection.stateDict(of: checkpoint)
      let (model, network, settings) = try concerning(input) {
        let hints = try hintOptions.hints().and(checkpoint)
        let model = try Identification(
          source, hints, isRequired: hintOptions.isGiven || to != nil || foldBN || writesONNX)
        let network = foldBN ? try model.network?.foldingBatchNorm() : model.network
        return (model, network, try readingSettings(of: network))
      }
      var description = ConversionText.source(input, checkpoint, source, model)
      let leftovers = Leftovers(of: output ?? "", writesONNX: writesONNX)
      let result: String
      let files: [String]
      if writesONNX {
        (result, files) = try export(network, from: checkpoint)
      } else {
        let naming = try concerning(input) {
          var naming = try Naming(
            source, selection.all ? nil : model.recognition, to: target, hintOptions.hints().map,
            folded: foldBN ? network?.stateDict : nil)
          try naming.keep(only: only, without: without)
          return naming
        }
        if dryRun {
          print(naming.table)
          return
        }
        let isChannelsLast = checkpoint.metadata.contains { $0 == ("layout", WeightOrder.ohwi.rawValue) }
        let (stateDict, losses) = try concerning(input) {
          try prepare(naming, isChannelsLast: isChannelsLast)
        }
        if let dtype { description += "\n" + ConversionText.losses(losses, dtype) }
        (result, files) = try write(stateDict, from: checkpoint, network)
      }
      if !quiet {
        var notes = leftovers.lines(files)
        if !settings.isEmpty {
          let options = settings.map { "--set " + $0 }.joined(separator: " ")
          notes.insert("these names imply other settings: read it with \(options)", at: 0)
        }
        let lines = [description, "wrote  \(result)"] + notes.map { "       " + $0 }
        print(Terminal.fit(lines.joined(separator: "\n"), indent: 7))
      }
    }
  }

  /// What is to be said to read the network again under the names of --to, where they imply another one and the file
  /// doesn't say.
  ///
  /// - Throws: `.notRepresentable` for a network that can't have these names.
  private func readingSettings(of network: ResNet?) throws -> [String] {
    guard let architecture = network?.architecture, let target else { return [] }
    guard architecture.normalization != .folded || target.name == Dialect.torchvision.name else {
      throw CheckpointError(
        .notRepresentable,
        "has BatchNorm folded into its convolutions, for which there are torchvision's names only: leave out --to."
      )
    }
    let settings: [String]
    do {
      settings = try target.settings(toRead: architecture)
    } catch {
      throw CheckpointError(
        .notRepresentable, "can't have these names (\(target.name)): \(error.reason). Choose another --to.")
    }
    if case .tensors(.rsw)? = writtenFormat { return [] }
    return settings
  }

  /// The tensors as they are to be written, and what the conversion of their types lost.
  private func prepare(
    _ naming: Naming, isChannelsLast: Bool
  ) throws(CheckpointError) -> (StateDict, [PrecisionLoss]) {
    var stateDict = try naming.stateDict(dense: dense)
    if layout == .ohwi, isChannelsLast {
      throw CheckpointError(
        .notRepresentable,
        "has its convolutions channels last already, as its metadata says: leave out --layout.")
    }
    if layout == .ohwi { stateDict = try stateDict.withChannelsLast() }
    guard let dtype else { return (stateDict, []) }
    let statistics = naming.statistics
    return try stateDict.converted(to: dtype.dtype) { name, tensor in
      dtypeAll || tensor.dtype.isFloatingPoint && !statistics.contains(name)
    }
  }

  private var options: WriteOptions {
    var options = WriteOptions()
    (options.replacing, options.synchronizing, options.shardBytes) = (force, sync, shard?.bytes)
    return options
  }

  /// - Returns: what was written, in a few words, and the files.
  private func write(
    _ stateDict: StateDict, from checkpoint: Checkpoint, _ network: ResNet?
  ) throws -> (String, [String]) {
    guard let output, case .tensors(let format)? = writtenFormat else {
      return ("", [])
    }
    var options = options
    options.source = checkpoint
    options.architecture = network?.architecture.json.text()
    // The metadata of an rsw file is about that file; any other's is kept.
    let kept = checkpoint.container == .rsw ? [] : checkpoint.metadata
    var notes: [(name: String, value: String)] = []
    if network?.architecture.normalization == .folded { notes.append(("normalization", "folded")) }
    if layout != .oihw { notes.append(("layout", layout.rawValue)) }
    options.metadata =
      (kept.isEmpty ? [("format", "pt")] : kept.filter { old in !notes.contains { $0.name == old.name } })
      + notes
    let files = try withProgress { progress in
      try stateDict.write(to: output, as: format, options: options, progress: progress)
    }
    return (ConversionText.files(files) + ": \(stateDict.count) tensors, read again and compared", files)
  }

  /// Writes the network as an ONNX model.
  ///
  /// - Returns: what was written, in a few words, and the files.
  private func export(_ network: ResNet?, from checkpoint: Checkpoint) throws -> (String, [String]) {
    guard let output, let network else { return ("", []) }
    let model = try concerning(input) {
      try network.graph.onnx(network.stateDict, options: onnx.options(for: network.architecture))
    }
    var options = options
    options.source = checkpoint
    let files = try withProgress { progress in
      try model.write(to: output, options: options, progress: progress)
    }
    return (
      ConversionText.files(files)
        + ": ONNX of operator set \(ONNXModel.operatorVersion), \(model.operatorCount) operators", files
    )
  }

  /// Calls `work` with what draws progress where it may be drawn.
  private func withProgress<Result>(
    _ work: (@escaping @Sendable (_ done: Int, _ total: Int) -> Void) throws -> Result
  ) throws -> Result {
    let draws = Terminal.showsProgress && !quiet
    defer { if draws { Terminal.clearProgress() } }
    return try concerning(input) {
      try work { done, total in
        if draws { Terminal.draw(progress: done, of: total) }
      }
    }
  }
}
