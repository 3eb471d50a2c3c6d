// rsw ls: the tensors of a checkpoint.

import ArgumentParser
import Checkpoints
import ResNets

struct List: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ls", abstract: "List the tensors of a checkpoint: name, dtype, shape, bytes.")

  @Argument(help: "The checkpoint.", completion: .checkpoint)
  var file: String

  @OptionGroup var selection: SelectionOptions

  @Flag(help: "Draw names as a tree, with the elements of each level added up.")
  var tree = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if tree, json { throw ValidationError("--tree and --json exclude each other.") }
  }

  func run() throws {
    try Terminal.reporting {
      let stateDict = try selection.stateDict(of: selection.checkpoint.open(file))
      print(json ? try document(stateDict).text(indented: true) : text(stateDict))
      if !stateDict.nestedEntries.isEmpty {
        Terminal.note(
          "not listed, though they hold tensors (--all lists them): \(ConversionText.firstNames(stateDict.nestedEntries))"
        )
      }
    }
  }

  private func text(_ stateDict: StateDict) -> String {
    let listing = tree ? TensorTree(stateDict).text(drawing: Terminal.drawsResults) : list(stateDict)
    let total =
      "\(stateDict.count) tensor\(stateDict.count == 1 ? "" : "s"), \(grouped(stateDict.elementCount)) elements, \(grouped(stateDict.byteCount)) bytes"
    return listing.isEmpty ? total : listing + "\n" + total
  }

  private func list(_ stateDict: StateDict) -> String {
    let rows = stateDict.map { name, tensor in
      [
        printable(name, longest: .max), "\(tensor.dtype)", "\(tensor.shape)", grouped(tensor.byteCount),
        form(tensor),
      ]
    }
    return table(rows, numeric: [3])
  }

  /// What a tensor is more than a view of its storage.
  private func form(_ tensor: Tensor) -> String {
    switch tensor.quantization {
    case .perTensor(let scale, let zeroPoint)?: return "quantized: scale \(scale), zero point \(zeroPoint)"
    case .perChannel(let scales, _, let axis, _)?:
      return "quantized: \(scales.count) scales along axis \(axis)"
    case nil: return tensor.layout == .strided ? "" : "\(tensor.layout)"
    }
  }

  /// More scales than this are no model's, but the same ones shared by many tensors.
  private static let mostScales = 4_000_000

  private func document(_ stateDict: StateDict) throws(CheckpointError) -> JSON {
    let scales = stateDict.reduce(0) { sum, element in
      if case .perChannel(let scales, _, _, _)? = element.tensor.quantization { return sum + scales.count }
      return sum
    }
    guard scales <= List.mostScales else {
      throw CheckpointError(
        .limitExceeded,
        "has \(scales) scales, more than can be listed in JSON. List it without --json."
      ).inFile(file)
    }
    let tensors: [JSON] = stateDict.map { name, tensor in
      .object(
        [
          ("name", .string(name)), ("dtype", .string(tensor.dtype.rawValue)), ("shape", .ints(tensor.shape)),
          ("bytes", .int(tensor.byteCount)), ("layout", .string(tensor.layout.rawValue)),
        ] + quantization(tensor))
    }
    return .object([
      ("schema", .int(1)), ("file", .string(file)), ("tensors", .array(tensors)),
      ("elements", .int(stateDict.elementCount)), ("bytes", .int(stateDict.byteCount)),
    ])
  }

  private func quantization(_ tensor: Tensor) -> [(name: String, value: JSON)] {
    switch tensor.quantization {
    case .perTensor(let scale, let zeroPoint)?: [("scale", .double(scale)), ("zero_point", .int(zeroPoint))]
    case .perChannel(let scales, let zeroPoints, let axis, _)?:
      [
        ("scales", .array(scales.map { .double($0) })),
        ("zero_points", .array(zeroPoints.map { .double($0) })),
        ("axis", .int(axis)),
      ]
    case nil: []
    }
  }
}
