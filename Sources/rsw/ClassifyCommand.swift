// rsw classify: photos in, classes out.

import ArgumentParser
import Checkpoints
import Images
import Inference
import ResNets

struct Classify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "classify",
    abstract: "Say what photos show.",
    discussion: """
      Images are prepared as torchvision prepares them, or timm for weights that it published: made smaller, the middle cut \
      out, normalised. They are seen upright, as the camera says they are. Prints a table on a terminal, else a line of \
      JSON for each image.
      """)

  @Option(
    parsing: .unconditional, help: ArgumentHelp("How many classes to print for each image.", valueName: "k"))
  var top = 5

  @Option(
    help: ArgumentHelp(
      "What the classes are called: one a line, or JSON (default: \"labels\" in the model's metadata; ImageNet's for 1,000 classes).",
      valueName: "file"), completion: .file())
  var labels: String?

  @Flag(help: "Print a line of JSON for each image on a terminal too.")
  var json = false

  @OptionGroup var photos: PhotoOptions

  func validate() throws {
    if top < 1 { throw ValidationError("--top must be at least 1.") }
  }

  func run() throws {
    try Terminal.reporting {
      let (checkpoint, network) = try photos.open()
      guard let classes = network.architecture.classes else {
        throw CheckpointError(
          .noTensor,
          "has no classifier, so there are no classes: 'rsw features' gives what it finds in images."
        ).inFile(photos.model)
      }
      let labels = try Labels(for: checkpoint, classes: classes, file: labels)
      let paths = try photos.paths()
      let photoRun = PhotoRun(
        network: network, preprocessing: photos.preprocessing(checkpoint, network), paths: paths,
        batch: photos.batch, module: nil)
      let report = PhotoReport(total: paths.count, quiet: photos.quiet)
      let isForPeople = Terminal.showsResults && !json
      let top = top
      try concerning(photos.model) {
        try photoRun.forEach {
          Prediction.best(top, of: $0.values)
        } report: { index, best in
          report.add(
            best.map {
              isForPeople ? text(paths[index], $0, labels) : document(paths[index], $0, labels).text()
            })
        }
      }
      try report.end()
    }
  }

  private func text(_ path: String, _ best: [Prediction], _ labels: Labels) -> String {
    let rows = best.map { prediction in
      let percent = "\(fixed(prediction.probability * 100, 2))%"
      let padding = String(repeating: " ", count: max(0, 9 - percent.count))
      let label = labels[prediction.index].map { printable($0) + " (\(prediction.index))" }
      return padding + percent + "  " + (label ?? "class \(prediction.index)")
    }
    return ([printable(path)] + rows).joined(separator: "\n")
  }

  private func document(_ path: String, _ best: [Prediction], _ labels: Labels) -> JSON {
    .object([
      ("schema", .int(1)), ("image", .string(path)),
      ("predictions", .array(best.map { $0.document(labels) })),
    ])
  }
}
