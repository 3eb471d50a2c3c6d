// rsw run: images in, logits out.

import ArgumentParser
import Checkpoints
import Inference
import ResNets

struct Run: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run a ResNet on prepared images.",
    discussion: "Prints the best classes of each image unless --output is given without --top.")

  @Argument(help: "The model: a checkpoint or an .rsw file.", completion: .checkpoint)
  var model: String

  @Option(
    help: ArgumentHelp("Images as a float32 .npy of shape [N, 3, H, W].", valueName: "x.npy"),
    completion: .array)
  var input: String

  @Option(
    help: ArgumentHelp(
      "Where to write the logits, [N, classes]: a float32 .npy, or a file of tensors whose name ends as those of convert do, as it must for several --at.",
      valueName: "y.npy"), completion: .file(extensions: ["npy", "safetensors", "rsw", "npz", "pth"]))
  var output: String?

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @Option(
    help: ArgumentHelp(
      "Give the output of this module in place of the logits, such as layer4 or avgpool; may be repeated.",
      valueName: "module"), completion: .module)
  var at: [String] = []

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How many classes to print for each image (default: 5, and none with --output).", valueName: "k"))
  var top: Int?

  @OptionGroup var options: CheckpointOptions
  @OptionGroup var hintOptions: HintOptions

  @OptionGroup var threadOptions: ThreadOptions

  @Flag(help: "Avoid algorithms that trade accuracy for speed: no Winograd F(4x4) and F(3x3), no Strassen.")
  var strict = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if let top, top < 1 { throw ValidationError("--top must be at least 1.") }
    if !at.isEmpty, output == nil || top != nil || json {
      throw ValidationError("--at needs --output, and goes with neither --top nor --json.")
    }
    if force, output == nil { throw ValidationError("--force goes with --output.") }
    if let output, OutputFormat(path: output) == nil, !output.lowercased().hasSuffix(".npy") {
      throw ValidationError("--output must end with .npy or with one of \(OutputFormat.listOfEndings).")
    }
    if at.count > 1, writesArray {
      throw ValidationError(
        "A .npy file holds one array: for several --at, end --output with .safetensors, .npz, .pth or .rsw.")
    }
    if Set(at).count != at.count { throw ValidationError("--at names a module twice.") }
  }

  /// Whether the output is one array, as its name doesn't ask for a file of tensors.
  private var writesArray: Bool {
    guard let output, let format = OutputFormat(path: output) else { return true }
    return format == .rsw && !output.lowercased().hasSuffix(".rsw")  // without an ending
  }

  func run() throws {
    try Terminal.reporting {
      if let output { try requireOutput(output, replacing: force, besides: [model, input]) }
      let images = try Tensor(npy: input)
      let opened = try loadModel(model, options, hintOptions)
      var network = opened.network
      threadOptions.apply(to: &network)
      network.accuracy = strict ? .strict : .standard
      try requireModules(at, of: network, in: model)
      let results: [Tensor]
      do {
        results = at.isEmpty ? [try network(images)] : try network.outputs(images, at: at)
      } catch let error as InputError {
        throw FileError(file: input, cause: error)
      } catch let error as CheckpointError {
        throw error.inFile(model)  // weights are read when they are needed
      }
      if let output {
        if writesArray {
          try results[0].writeNPY(to: output, replacing: force)
        } else {
          let ofAll = network.architecture.classes == nil ? "features" : "logits"
          try write(results, named: at.isEmpty ? [ofAll] : at, to: output)
        }
        // What follows may be meant for another program.
        if top == nil, !json {
          let shapes = results.map { "\($0.shape)" }.joined(separator: ", ")
          print("wrote  \(printable(output)): \(shapes)")
        }
      }
      if !at.isEmpty { return }
      let logits = results[0]
      guard let classes = network.architecture.classes else {
        if output == nil {
          print("features of shape \(logits.shape): the model has no classifier; --output writes them")
        }
        return
      }
      if top != nil || json || output == nil {
        let predictions = try ranked(logits)
        let labels = try Labels(for: opened.checkpoint, classes: classes, file: nil)
        print(
          json ? document(logits, predictions, labels).text(indented: true) : text(predictions, labels))
      }
    }
  }

  /// Writes outputs as one file of tensors.
  private func write(_ results: [Tensor], named names: [String], to output: String) throws {
    var stateDict = StateDict()
    for (name, tensor) in zip(names, results) { try stateDict.append(name, tensor) }
    var options = WriteOptions()
    options.replacing = force
    try stateDict.write(to: output, options: options)
  }

  /// For each image its best classes, best first.
  private func ranked(_ logits: Tensor) throws -> [[Prediction]] {
    let values = try logits.floats()
    let classes = logits.shape[1]
    return (0..<logits.shape[0]).map { image in
      Prediction.best(top ?? 5, of: values[image * classes..<(image + 1) * classes])
    }
  }

  private func text(_ predictions: [[Prediction]], _ labels: Labels) -> String {
    var rows = [["image", "class", "probability", "logit", labels.isEmpty ? "" : "label"]]
    for (image, best) in predictions.enumerated() {
      rows += best.map {
        [
          "\(image)", "\($0.index)", "\(fixed($0.probability * 100, 2))%", fixed(Double($0.logit), 4),
          printable(labels[$0.index] ?? ""),
        ]
      }
    }
    return table(rows, numeric: [0, 1, 2, 3])
  }

  private func document(_ logits: Tensor, _ predictions: [[Prediction]], _ labels: Labels) -> JSON {
    .object([
      ("schema", .int(1)), ("model", .string(model)), ("shape", .ints(logits.shape)),
      ("predictions", .array(predictions.map { best in .array(best.map { $0.document(labels) }) })),
    ])
  }
}
