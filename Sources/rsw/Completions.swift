// What shells offer for arguments and options; values of enumerations they know by themselves.

import ArgumentParser
import Checkpoints
import ResNets

extension CompletionKind {
  /// Files that may hold weights.
  static let checkpoint = file(extensions: [
    "pth", "pt", "bin", "safetensors", "rsw", "json", "npz", "npy", "pt2", "ckpt", "tar", "pkl", "th", "zip",
  ])

  /// Files that weights or models are written to.
  static let converted = file(extensions: ["rsw", "safetensors", "pth", "pt", "bin", "npz", "onnx"])

  /// NumPy's arrays.
  static let array = file(extensions: ["npy"])

  /// Published variants.
  static let variant = list(Variant.all.map(\.name))

  /// Whose names tensors may have.
  static let dialect = list(dialectNames)

  /// Modules that every network has.
  static let module = list(["layer1", "layer2", "layer3", "layer4", "avgpool"])
}

/// The names that --to takes.
let dialectNames = Dialect.all.map(\.name) + ["timm"]
