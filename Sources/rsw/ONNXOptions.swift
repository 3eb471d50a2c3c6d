// What rsw convert has to know to write an ONNX model.

import ArgumentParser
import Checkpoints
import NN
import ResNets

/// What a checkpoint is converted to: a file of tensors, or a model that says what is computed with them too.
enum ConvertedFormat: ExpressibleByArgument {
  case tensors(OutputFormat)
  case onnx

  init?(argument: String) {
    if argument == "onnx" {
      self = .onnx
    } else if let format = OutputFormat(rawValue: argument) {
      self = .tensors(format)
    } else {
      return nil
    }
  }

  /// What a file's name asks for by its ending; nil where no format has it.
  init?(path: String) {
    if path.lowercased().hasSuffix(".onnx") {
      self = .onnx
    } else if let format = OutputFormat(path: path) {
      self = .tensors(format)
    } else {
      return nil
    }
  }

  static let endings = OutputFormat.allCases.flatMap(\.endings) + ["onnx"]

  static var allValueStrings: [String] { OutputFormat.allCases.map(\.rawValue) + ["onnx"] }
  static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}

/// How an ONNX model is to be.
struct ONNXExportOptions: ParsableArguments {
  @Option(parsing: .unconditional, help: "Images that the model takes at once (default: any number).")
  var batch: Int?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Height and width of the images that the model takes, two numbers such as --size 224 224 (default: any).",
      valueName: "pixels"))
  var size: [Int] = []

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Put the weights into a file beside the model where it would have more bytes (default: 2147483647, as protocol buffers hold no more).",
      valueName: "bytes"))
  var largestFile: Int?

  /// Whether any of them was given.
  var isGiven: Bool { batch != nil || !size.isEmpty || largestFile != nil }

  func validate() throws {
    if let batch, batch < 1 { throw ValidationError("--batch must be at least 1.") }
    if !size.isEmpty, size.count != 2 || size.contains(where: { !(1...1 << 20).contains($0) }) {
      throw ValidationError("--size takes a height and a width, two numbers such as --size 224 224.")
    }
    if let largestFile, !(0...Int(Int32.max)).contains(largestFile) {
      throw ValidationError("--largest-file takes 0 to 2147483647 bytes.")
    }
  }

  func options(for architecture: Architecture) -> ONNXOptions {
    var options = ONNXOptions()
    options.name = architecture.variantName ?? "resnet"
    options.batch = batch
    if size.count == 2 { options.size = (size[0], size[1]) }
    if let largestFile { options.largestFile = largestFile }
    options.metadata = [("architecture", architecture.json.text())]
    return options
  }
}
