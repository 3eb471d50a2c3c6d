// The values that options of convert take, and what is said of files of an earlier output.

import ArgumentParser
import Checkpoints

/// A type that weights are written in.
enum Precision: String, ExpressibleByArgument, CaseIterable {
  case f32, f16, bf16

  var dtype: DType {
    switch self {
    case .f32: .float32
    case .f16: .float16
    case .bf16: .bfloat16
    }
  }
}

/// The order of the axes of a convolution's weight.
enum WeightOrder: String, ExpressibleByArgument, CaseIterable {
  /// PyTorch's.
  case oihw
  /// Channels last.
  case ohwi
}

/// A size in bytes, with a unit: `2GB`, `500MiB`.
struct FileSize: ExpressibleByArgument {
  let bytes: Int

  private static let units: [(name: String, bytes: Int)] = [
    ("KIB", 1 << 10), ("MIB", 1 << 20), ("GIB", 1 << 30), ("KB", 1000), ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1), ("", 1),
  ]

  init?(argument: String) {
    let text = argument.uppercased()
    guard let unit = FileSize.units.first(where: { text.hasSuffix($0.name) }),
      let number = Double(text.dropLast(unit.name.count)), number > 0,
      let bytes = Int(exactly: (number * Double(unit.bytes)).rounded()), bytes > 0
    else { return nil }
    self.bytes = bytes
  }
}

/// Files of what an output replaces.
struct Leftovers {
  private let shards: [String]
  /// The weights that an ONNX model of this name would have beside it, if there are any.
  private let weights: String?

  /// Looks for them, before anything is written.
  init(of output: String, writesONNX: Bool) {
    shards = EarlierShards(of: output).paths
    weights = writesONNX && OutputFile.exists(output + ".data") ? output + ".data" : nil
  }

  /// What became of them, a line each, now that `written` are there.
  func lines(_ written: [String]) -> [String] {
    let removed = shards.filter { !OutputFile.exists($0) }
    var lines: [String] = []
    if let first = removed.first {
      let others = removed.count > 1 ? " and \(removed.count - 1) more files" : ""
      lines.append("removed \(printable(first))\(others), which the old index named and the new one does not")
    }
    if let weights, !written.contains(weights) {
      lines.append("\(printable(weights)) is of an earlier model: the new one does not need it")
    }
    return lines
  }
}
