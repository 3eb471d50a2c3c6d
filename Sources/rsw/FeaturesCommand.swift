// rsw features: photos in, a module's outputs out.

import ArgumentParser
import Checkpoints
import Images
import Inference
import ResNets

struct Features: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "features",
    abstract: "Write what a model finds in photos: embeddings.",
    discussion: """
      Images are prepared as for 'rsw classify'. Row i of the output belongs to image i, in the order of the arguments, \
      those of a folder sorted by name; a safetensors file names them in its metadata, as a JSON array called "images". The \
      row of an image that can't be read is NaN, so that all others keep their place; the exit status is 65 then.
      """)

  @Option(
    help: ArgumentHelp(
      "The module whose output is written, such as avgpool, layer4 or fc; input is the prepared images themselves.",
      valueName: "module"), completion: .module)
  var at = "avgpool"

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Where to write them, as float32: .npy or .safetensors, [N, C] where a module has one value a channel, else [N, C, H, W].",
      valueName: "file"), completion: .file(extensions: ["npy", "safetensors"]))
  var output: String

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @OptionGroup var photos: PhotoOptions

  func validate() throws {
    guard writesArray || OutputFormat(path: output) == .safetensors else {
      throw ValidationError("--output must end with .npy or .safetensors.")
    }
  }

  private var writesArray: Bool { output.lowercased().hasSuffix(".npy") }

  func run() throws {
    try Terminal.reporting {
      let (checkpoint, network) = try photos.open()
      if at != FeaturePlace.input { try requireModules([at], of: network, in: photos.model) }
      let paths = try photos.paths()
      try requireOutput(output, replacing: force, besides: [photos.model] + paths)
      let photoRun = PhotoRun(
        network: network, preprocessing: photos.preprocessing(checkpoint, network), paths: paths,
        batch: photos.batch, module: at)
      let report = PhotoReport(total: paths.count, quiet: photos.quiet)
      var rows = FeatureRows(count: paths.count)
      try concerning(photos.model) {
        try photoRun.forEach {
          (values: Array($0.values), shape: $0.shape)
        } report: { index, row in
          if case .success(let row) = row { rows.set(index, row.values, row.shape) }
          report.add(row.map { _ in nil })
        }
      }
      try write(rows, paths)
      try report.end()
    }
  }

  private func write(_ rows: FeatureRows, _ paths: [String]) throws {
    guard let tensor = try rows.tensor() else { return }
    if writesArray {
      try tensor.writeNPY(to: output, replacing: force)
    } else {
      var stateDict = StateDict()
      try stateDict.append(at, tensor)
      var options = WriteOptions()
      options.replacing = force
      options.metadata = [("images", JSON.strings(paths).text())]
      try stateDict.write(to: output, options: options)
    }
    if !photos.quiet { print("wrote  \(printable(output)): \(tensor.shape)") }
  }
}

/// The outputs for all images.
private struct FeatureRows {
  private let count: Int
  private var values: [Float] = []
  /// The shape of one image's output; nil before the first.
  private var shape: [Int]?

  init(count: Int) { self.count = count }

  mutating func set(_ index: Int, _ row: [Float], _ shape: [Int]) {
    if self.shape == nil {
      self.shape = shape
      values = [Float](repeating: .nan, count: count * row.count)
    }
    values.replaceSubrange(index * row.count..<(index + 1) * row.count, with: row)
  }

  /// One row an image; nil when there is none.
  func tensor() throws(CheckpointError) -> Tensor? {
    guard var shape else { return nil }
    while shape.count > 1, shape.last == 1 { shape.removeLast() }
    return try Tensor(shape: [count] + shape, values)
  }
}
