// rsw show: one tensor of a checkpoint, what its values are like, and out with it.

import ArgumentParser
import Checkpoints
import ResNets

struct Show: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "show",
    abstract:
      "Show one tensor: shape, type, statistics, a histogram and the first values; extract it as .npy.",
    discussion: """
      Names are the file's own, as 'rsw ls' lists them; those of torchvision are understood for every ResNet. \
      Statistics are those of the finite values, and of magnitudes where they are complex.
      """)

  @Argument(help: "The checkpoint.", completion: .checkpoint)
  var file: String

  @Argument(help: "The tensor's name, such as layer1.0.conv1.weight.")
  var name: String

  @OptionGroup var selection: SelectionOptions

  @Option(
    help: ArgumentHelp(
      "Write the tensor to this file; types that NumPy lacks become float32.", valueName: "out.npy"),
    completion: .array)
  var npy: String?

  @Flag(help: "Replace the output if it exists.")
  var force = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if force, npy == nil { throw ValidationError("--force goes with --npy.") }
  }

  func run() throws {
    try Terminal.reporting {
      if let npy { try requireOutput(npy, replacing: force, besides: [file]) }
      let checkpoint = try selection.checkpoint.open(file)
      let stateDict = try selection.stateDict(of: checkpoint)
      let (name, tensor) = try concerning(file) { try named(stateDict, checkpoint) }
      do throws(CheckpointError) {
        let description = try TensorDescription(name, tensor)
        if let npy { try extract(tensor, to: npy) }
        print(
          json
            ? description.document(file: file).text(indented: true)
            : description.text(drawing: Terminal.drawsResults))
      } catch {
        throw error.file == nil ? error.forTensor(name).inFile(file) : error
      }
    }
  }

  /// The tensor that is meant, with the name that the file has for it.
  private func named(_ stateDict: StateDict, _ checkpoint: Checkpoint) throws -> StateDict.Element {
    if let tensor = stateDict[name] { return (name, tensor) }
    // Recognising takes a while, and most files have torchvision's names.
    let recognition = try? Recognition(stateDict, hints: Hints().and(checkpoint))
    if let tensor = recognition?.stateDict[name] {
      let entry = recognition?.mapping.entries.first { CodeUnitKey($0.to) == CodeUnitKey(name) }
      return (entry?.from ?? name, tensor)
    }
    let names = stateDict.names + (recognition?.stateDict.names.filter { stateDict[$0] == nil } ?? [])
    let inside = names.filter { $0.hasPrefix(name + ".") }.prefix(3)
    let nearest = (inside.isEmpty ? nearestNames(to: name, among: names, most: 3) : Array(inside)).map {
      quoted($0)
    }
    throw CheckpointError(
      .noTensor,
      "is not in the file. "
        + (nearest.isEmpty
          ? "'rsw ls' lists the names."
          : "Did you mean \(nearest.joined(separator: " or "))? 'rsw ls' lists all names."),
      key: name)
  }

  private func extract(_ tensor: Tensor, to path: String) throws(CheckpointError) {
    let written = try tensor.forNumPy()
    try written.writeNPY(to: path, replacing: force)
    if written.dtype != tensor.dtype {
      Terminal.note("\(tensor.dtype) is no type of NumPy's: \(path) has the values as \(written.dtype)")
    }
  }
}
