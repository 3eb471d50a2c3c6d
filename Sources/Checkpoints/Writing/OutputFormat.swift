// The formats that weights are written in, what each can hold, and what a file says beside its tensors.

/// A format that weights are written in.
public enum OutputFormat: String, Sendable, CaseIterable {
  /// A safetensors file with what docs/rsw-format.md adds.
  case rsw
  /// A safetensors file.
  case safetensors
  /// What torch.save writes, and `torch.load` opens, with `weights_only` and `mmap` too.
  case torch
  /// What numpy.savez writes.
  case npz

  /// What names of files in this format end with, behind the last dot.
  public var endings: [String] {
    switch self {
    case .rsw: ["rsw"]
    case .safetensors: ["safetensors"]
    case .torch: ["pth", "pt", "bin"]
    case .npz: ["npz"]
    }
  }

  /// All of them, for people.
  package static var listOfEndings: String {
    allCases.flatMap(\.endings).map { "." + $0 }.joined(separator: ", ")
  }

  /// The format that a file's name asks for by its ending; rsw where it has none, nil where no format has it.
  public init?(path: String) {
    guard let ending = path.split(separator: "/").last?.split(separator: ".").dropFirst().last?.lowercased()
    else {
      self = .rsw
      return
    }
    guard let format = OutputFormat.allCases.first(where: { $0.endings.contains(ending) }) else { return nil }
    self = format
  }

  /// Whether tensors may be divided among several files.
  public var canBeSharded: Bool { self == .safetensors || self == .torch }

  /// Whether a tensor can be written in this format as it is.
  public func holds(_ tensor: Tensor) -> Bool {
    if self == .torch { return tensor.layout != .jagged }
    guard tensor.layout == .strided, tensor.quantization == nil else { return false }
    if self == .npz { return NPY.hasType(tensor.dtype) }
    // Pairs of elements of 4 bits are counted as two, for which they need a dimension.
    if tensor.dtype == .float4_e2m1fn_x2, !(tensor.shape.last.map { $0 <= Int.max / 2 } ?? false) {
      return false
    }
    return tensor.dtype.safetensorsName != nil
  }

  /// - Throws: `.notRepresentable` for the first tensor that the format can't hold, with the formats that can.
  func check(_ stateDict: StateDict) throws(CheckpointError) {
    for (name, tensor) in stateDict where !holds(tensor) {
      let others = OutputFormat.allCases.filter { $0.holds(tensor) }.map(\.rawValue)
      if tensor.layout == .meta || others.isEmpty { throw tensor.layout.error.forTensor(name) }
      let kind = tensor.layout == .strided ? tensor.dtype.rawValue : "a \(tensor.layout) tensor"
      let isPlain = tensor.layout == .strided && tensor.quantization == nil
      throw CheckpointError(
        .notRepresentable,
        "is \(kind), which \(rawValue) can't hold; \(others.joined(separator: ", ")) can."
          + (isPlain || tensor.layout == .nested
            ? "" : " Or write its values as an ordinary tensor with --dense."),
        key: name)
    }
  }
}

/// How a file is written, and what it says of itself beside its tensors.
public struct WriteOptions: Sendable {
  /// The file that is converted: all its checksums are verified on the way. An rsw file notes its name and size.
  public var source: Checkpoint?
  /// The metadata of a safetensors file, by name.
  public var metadata: [(name: String, value: String)] = []
  /// The model's architecture as a JSON object, for an rsw file.
  public var architecture: String?
  /// Whether an existing file may be replaced.
  public var replacing = false
  /// Whether the file is on the disk, not only on its way there, when the call returns.
  public var synchronizing = false
  /// The size in bytes that no file is to exceed: more than one file, with an index beside them, is written if need be.
  /// Safetensors and torch only. Where files of an earlier set may be replaced, those that its index names and the new
  /// one doesn't are removed.
  public var shardBytes: Int?

  /// Nothing said, nothing replaced.
  public init() {}
}
