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
      "Where to write the logits, [N, classes], as a float32 .npy; with several --at, one file of tensors in any format that convert writes.",
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
    parsing: .unconditional, help: ArgumentHelp("How many classes to print for each image.", valueName: "k"))
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
    if at.count > 1, let output, output.lowercased().hasSuffix(".npy") {
      throw ValidationError(
        "A .npy file holds one array: for several --at, end --output with .safetensors, .npz, .pth or .rsw.")
    }
    if Set(at).count != at.count { throw ValidationError("--at names a module twice.") }
  }

  func run() throws {
    try Terminal.reporting {
      if let output { try requireOutput(output, replacing: force, besides: [model, input]) }
      let images = try Tensor(npy: input)
      var network = try loadModel(model, options, hintOptions).network
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
        if at.count > 1 {
          try writeFeatures(results)
        } else {
          try results[0].writeNPY(to: output, replacing: force)
        }
        // What follows may be meant for another program.
        if top == nil, !json {
          let shapes = results.map { "\($0.shape)" }.joined(separator: ", ")
          print("wrote  \(printable(output)): \(shapes)")
        }
      }
      if !at.isEmpty { return }
      let logits = results[0]
      if network.architecture.classes == nil {
        if output == nil {
          print("features of shape \(logits.shape): the model has no classifier; --output writes them")
        }
        return
      }
      if top != nil || json || output == nil {
        let predictions = try ranked(logits)
        print(json ? document(logits, predictions).text(indented: true) : text(predictions))
      }
    }
  }

  /// Several modules' outputs as one file of tensors.
  private func writeFeatures(_ results: [Tensor]) throws {
    guard let output else { return }
    var stateDict = StateDict()
    for (name, tensor) in zip(at, results) { try stateDict.append(name, tensor) }
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

  private func text(_ predictions: [[Prediction]]) -> String {
    var rows = [["image", "class", "probability", "logit"]]
    for (image, best) in predictions.enumerated() {
      rows += best.map {
        ["\(image)", "\($0.index)", "\(fixed($0.probability * 100, 2))%", fixed(Double($0.logit), 4)]
      }
    }
    return table(rows, numeric: [0, 1, 2, 3])
  }

  private func document(_ logits: Tensor, _ predictions: [[Prediction]]) -> JSON {
    .object([
      ("schema", .int(1)), ("model", .string(model)), ("shape", .ints(logits.shape)),
      (
        "predictions",
        .array(
          predictions.map { best in
            .array(
              best.map {
                .object([
                  ("class", .int($0.index)), ("probability", .double($0.probability)),
                  ("logit", .double(Double($0.logit))),
                ])
              })
          })
      ),
    ])
  }
}

/// A ResNet with its weights, and what was found out about its file.
struct OpenedModel {
  let checkpoint: Checkpoint
  let stateDict: StateDict
  let recognition: Recognition
  var network: ResNet
}

/// The file at `path`, and the ResNet in it with its weights.
func loadModel(_ path: String, _ options: CheckpointOptions, _ hints: HintOptions) throws -> OpenedModel {
  let hints = try hints.hints()
  return try concerning(path) {
    let checkpoint = try options.open(path)
    let stateDict = try checkpoint.resNetStateDict(key: options.key)
    let recognition = try Recognition(stateDict, hints: hints.and(checkpoint))
    let network = try ResNet(recognition)
    if !recognition.alternatives.isEmpty {
      Terminal.note(
        "read as \(recognition.architecture); keys and shapes would fit these too: "
          + recognition.alternatives.joined(separator: ", "))
    }
    if let beside = recognition.beside { Terminal.note(beside) }
    return OpenedModel(
      checkpoint: checkpoint, stateDict: stateDict, recognition: recognition, network: network)
  }
}

/// Refuses modules that the network in the file at `path` does not have.
func requireModules(_ modules: [String], of network: ResNet, in path: String) throws {
  for module in modules where network.graph.names[module] == nil {
    let nearest = nearestNames(to: module, among: network.graph.names.keys.sorted(), most: 3)
    throw CheckpointError(
      .noTensor,
      "its network has no module \(quoted(module)) with an output of its own. "
        + (nearest.isEmpty
          ? "'rsw bench --layers' names layers; stages such as layer4 and blocks such as layer4.0 have outputs too."
          : "Did you mean \(nearest.map { quoted($0) }.joined(separator: " or "))?")
    ).inFile(path)
  }
}
