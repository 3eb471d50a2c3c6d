// rsw report: a network on one page.

import ArgumentParser
import Checkpoints
import Images
import Inference
import NN
import ResNets

struct Report: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract:
      "Make a page about a ResNet: its architecture, every layer, its filters, what it makes of an image.",
    discussion: """
      The page is one HTML file that needs no network. Times are measured on this machine while it is made.
      """)

  @Argument(help: "The model: a checkpoint or an .rsw file.", completion: .checkpoint)
  var model: String

  @Option(
    help: ArgumentHelp(
      "A photo that the model is run on, a JPEG or PNG file; it is prepared as 'rsw classify' does it.",
      valueName: "photo"), completion: .photo)
  var image: String?

  @Option(
    help: ArgumentHelp(
      "A prepared image in place of a photo that the model is run on: the first of a float32 .npy of shape [N, 3, H, W].",
      valueName: "x.npy"), completion: .array)
  var input: String?

  @Option(
    help: ArgumentHelp(
      "What the classes are called: one a line, or JSON (default: \"labels\" in the model's metadata; ImageNet's for 1,000 classes).",
      valueName: "file"), completion: .file())
  var labels: String?

  @Option(
    name: .shortAndLong, help: ArgumentHelp("Where to write the page.", valueName: "report.html"),
    completion: .file(extensions: ["html"]))
  var output: String

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup var options: CheckpointOptions
  @OptionGroup var hintOptions: HintOptions

  @OptionGroup var threadOptions: ThreadOptions

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Height and width that shapes, arithmetic and times are for (default: the image's; else 224 224, or 32 32 where the stem is CIFAR's).",
      valueName: "pixels"))
  var size: [Int] = []

  @Option(name: .customLong("repeat"), parsing: .unconditional, help: "How many passes to time.")
  var repetitions = 10

  func validate() throws {
    if !size.isEmpty, size.count != 2 || size.contains(where: { !(1...16_384).contains($0) }) {
      throw ValidationError("--size takes a height and a width, up to 16384.")
    }
    if image != nil, input != nil { throw ValidationError("--image and --input exclude each other.") }
    if labels != nil, image == nil, input == nil {
      throw ValidationError("--labels goes with --image or --input.")
    }
    if !size.isEmpty, image != nil || input != nil {
      throw ValidationError("--size goes without an image, which has a size.")
    }
    if !(1...1_000_000).contains(repetitions) {
      throw ValidationError("--repeat must be between 1 and 1000000.")
    }
  }

  func run() throws {
    try Terminal.reporting {
      try requireOther(output, than: [model, image, input, labels].compactMap(\.self))
      let file = try OutputFile(output, replacing: force)
      do {
        let page = Bytes(Array(try page().html.text.utf8))
        try file.write(page, at: 0)
        try file.commit()
        print("wrote  \(printable(output)): \(byteSize(page.count))")
      } catch {
        file.discard()
        throw error
      }
    }
  }

  private func page() throws -> ReportPage {
    var opened = try loadModel(model, options, hintOptions)
    threadOptions.apply(to: &opened.network)
    let network = opened.network
    let prepared = try preparedImage(for: opened)
    let names = try prepared == nil ? nil : classNames(of: opened)
    let usual = network.architecture.stem == .small ? [32, 32] : [224, 224]
    let shape = prepared?.tensor.shape ?? [1, 3] + (size.isEmpty ? usual : size)
    do {
      let layers = try NetworkLayers(network, timings(of: network, shape), shape: shape)
      let answer = try prepared.map { try ReportAnswer(network, $0, names) }
      return try concerning(model) {
        ReportPage(
          model: opened, file: model, layers: layers,
          weights: try LayerWeights.all(of: layers.layers.map(\.operation), network.stateDict), shape: shape,
          filters: try FilterPictures(network), answer: answer)
      }
    } catch let error as InputError {
      throw FileError(file: image ?? input ?? model, cause: error)
    } catch let error as CheckpointError {
      throw error.file == nil ? error.inFile(model) : error
    }
  }

  /// The image that the model is run on, if there is one.
  private func preparedImage(for opened: OpenedModel) throws -> ReportImage? {
    if let image {
      return try ReportImage(
        photo: image, Preprocessing(for: opened.checkpoint, opened.network.architecture))
    }
    return try input.map { try ReportImage(npy: $0) }
  }

  /// What the classes are called; nil where there are none.
  private func classNames(of opened: OpenedModel) throws -> Labels? {
    try opened.network.architecture.classes.map { classes in
      try Labels(for: opened.checkpoint, classes: classes, file: labels)
    }
  }

  /// How long the steps of a pass take, after passes that packed weights and woke threads.
  private func timings(of network: ResNet, _ shape: [Int]) throws -> [StepTiming] {
    let image = try Tensor.noise(shape: shape)
    for _ in 0..<2 { _ = try network(image) }
    return try network.profile(image, repetitions: repetitions)
  }
}
