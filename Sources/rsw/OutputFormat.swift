// The formats that weights are written in.

import ArgumentParser
import Checkpoints

/// A format of files of weights.
enum OutputFormat: String, CaseIterable, ExpressibleByArgument {
  case rsw
  case safetensors
  /// What torch.save writes.
  case torch
  case npz

  /// The format that a file's name asks for.
  init(path: String) {
    let end = path.split(separator: "/").last?.split(separator: ".").dropFirst().last?.lowercased()
    switch end {
    case "safetensors": self = .safetensors
    case "pth", "pt", "bin": self = .torch
    case "npz": self = .npz
    default: self = .rsw
    }
  }

  /// Writes all tensors in this format.
  ///
  /// - Parameters:
  ///   - source: the file that is converted.
  ///   - architecture: the model's architecture as JSON, for formats that have room for it.
  func write(
    _ stateDict: StateDict, to path: String, source: Checkpoint, architecture: String?, replacing: Bool,
    progress: @escaping @Sendable (_ done: Int, _ total: Int) -> Void
  ) throws(CheckpointError) {
    var options = WriteOptions()
    (options.source, options.replacing) = (source, replacing)
    switch self {
    case .rsw:
      var options = RSWOptions()
      (options.source, options.architecture, options.replacing) = (source, architecture, replacing)
      try stateDict.writeRSW(to: path, options: options, progress: progress)
    case .safetensors:
      // The metadata of an rsw file is about that file; any other's is kept.
      let kept = source.container == .rsw ? [] : source.metadata
      let metadata = kept.isEmpty ? [(name: "format", value: "pt")] : kept
      try stateDict.writeSafetensors(to: path, metadata: metadata, options: options, progress: progress)
    case .torch: try stateDict.writeTorch(to: path, options: options, progress: progress)
    case .npz: try stateDict.writeNPZ(to: path, options: options, progress: progress)
    }
  }
}
