// What shells offer for arguments and options; values of enumerations they know by themselves.

import ArgumentParser
import Checkpoints
import Pretrained
import ResNets

extension CompletionKind {
  /// Files that may hold weights.
  static let checkpoint = file(extensions: [
    "pth", "pt", "bin", "safetensors", "rsw", "json", "npz", "npy", "pt2", "ckpt", "tar", "pkl", "th", "zip",
  ])

  /// Files that weights or models are written to.
  static let converted = file(extensions: ConvertedFormat.endings)

  /// NumPy's arrays.
  static let array = file(extensions: ["npy"])

  /// Images.
  static let photo = file(extensions: ["jpg", "jpeg", "png", "JPG", "JPEG", "PNG"])

  /// Variants.
  static let variant = list(Variant.all.map(\.name))

  /// Networks of which there are published weights.
  static let published = list(
    PublishedWeights.all.map(\.network).reduce(into: []) { names, name in
      if names.last != name { names.append(name) }
    })

  /// Whose names tensors may have.
  static let dialect = list(dialectNames)

  /// Modules that every network has.
  static let module = list(["layer1", "layer2", "layer3", "layer4", "avgpool"])
}

/// The names that --to takes.
let dialectNames = Dialect.all.map(\.name) + ["timm"]
