// What keys and shapes can't tell: where the stride is, whether there is dilation or anti-aliasing. The user says it,
// or a file's metadata, or the name that it was published under; a dialect implies it. Else torchvision's way is
// taken, and the others are named.

public import Checkpoints

/// What is known about a network beside its keys and shapes.
///
/// ```swift
/// let model = try ResNet(checkpoint, hints: Hints(architecture: "resnetaa50"))
/// ```
public struct Hints: Sendable {
  /// The published variant that it is; its keys and shapes must be the file's.
  public var architecture: String?
  /// Settings as ``Architecture/set(_:_:)`` takes them.
  public var settings: [(name: String, value: String)] = []
  /// Rules that are applied to the names before anything else.
  public var map = KeyMap()
  /// The path that the file was published under; a part of it may name a variant.
  public var path: String?
  /// Names that the file gives the network, with where they stand, such as `arch` of a training script.
  var names: [(place: String, name: String)] = []
  /// What an rsw file says of its architecture.
  var recorded: JSON?

  /// No hints, or the variant's name.
  public init(architecture: String? = nil) { self.architecture = architecture }

  /// These hints, and what the checkpoint's name and metadata say.
  public func and(_ checkpoint: Checkpoint) -> Hints {
    var result = self
    result.path = path ?? checkpoint.member ?? checkpoint.path
    if let text = checkpoint.metadata.first(where: { $0.name == "architecture" })?.value {
      let recorded = try? JSON(parsing: Bytes(Array(text.utf8)))
      if recorded?["family"]?.string == "resnet" { result.recorded = recorded }
    }
    for (name, value) in checkpoint.texts where Hints.places.contains(name) {
      result.names.append(("\"\(name)\" of the checkpoint", value))
    }
    if let name = Hints.architecture(beside: checkpoint) {
      result.names.append(("config.json beside it", name))
    }
    return result
  }

  /// What training scripts call the name of the network.
  private static let places = ["arch", "architecture", "model", "model_name", "backbone", "net", "encoder"]

  /// The architecture that timm's `config.json` names, as it lies beside the weights on the Hugging Face hub.
  private static func architecture(beside checkpoint: Checkpoint) -> String? {
    guard checkpoint.member == nil, [.safetensors, .torchZip].contains(checkpoint.container) else {
      return nil
    }
    let folder = checkpoint.path.lastIndex(of: "/").map { checkpoint.path[...$0] } ?? ""
    guard let file = try? Bytes(mapping: folder + "config.json"), file.count <= 1 << 20,
      let config = try? JSON(parsing: file)
    else { return nil }
    return config["architecture"]?.string
  }

  /// Settles what keys and shapes left open.
  ///
  /// - Returns: what told it, and what else is possible.
  func settle(
    _ found: inout Architecture, _ dialect: Dialect
  ) throws(RecognitionError) -> (steps: [String], alternatives: [String]) {
    var steps: [String] = []
    let hasGroups = found.groups > 1
    found = try dialect.implied(by: found)
    let impliesStride = dialect.map.settings.contains { $0.name == "stride" }

    // How much of what keys and shapes leave open is settled.
    var (lookalikes, rest) = (false, false)
    if let recorded {
      try found.adopt(recorded)
      (lookalikes, rest) = (true, true)
    } else if let (place, variant) = namedVariant(found) {
      found.tell(variant, "\(place) says \(variant.name)", &steps)
      lookalikes = true
    } else if let (variant, part) = found.variant(in: path) {
      found.tell(variant, "the name \(printable(part)) tells it from others with the same keys", &steps)
      lookalikes = true
      // As published: torchvision's and timm's files are called by the variant.
      let words = part.lowercased()
      rest = words.hasPrefix(variant.name) && path?.split(separator: "/").last.map(String.init) == part
      if !hasGroups, let word = ["caffe", "msra", "detectron"].first(where: { words.contains($0) }) {
        found.stridePlacement = .first
        steps.append("\(word) in the name \(printable(part)) stands for the stride on conv1")
      }
    }
    if let name = architecture {
      guard let variant = Variant.all.first(where: { $0.name == name }) else {
        throw RecognitionError(hints: "there is no variant \"\(printable(name))\"")
      }
      guard found.hasSameKeys(as: variant.architecture) else {
        throw RecognitionError(hints: "keys and shapes are not those of \(name), but of \(found)")
      }
      found.antialiasing = variant.architecture.antialiasing
      lookalikes = true
    }
    for (name, value) in settings { try found.set(name, value) }
    return (steps, alternatives(found, lookalikes: lookalikes, rest: rest, impliesStride: impliesStride))
  }

  /// What else keys and shapes could mean, as options of the tool.
  private func alternatives(
    _ found: Architecture, lookalikes: Bool, rest: Bool, impliesStride: Bool
  ) -> [String] {
    let isSet = Set(settings.map(\.name))
    var alternatives: [String] = []
    if !lookalikes, !isSet.contains("antialiasing") {
      alternatives += found.lookalikes.map { "--arch \($0.name)" }
    }
    let hasPlacement = found.blocks.contains(.bottleneck) && found.groups == 1
    if !rest || impliesStride && recorded == nil, hasPlacement, !isSet.contains("stride") {
      alternatives.append("--set stride=\(found.stridePlacement == .first ? "second" : "first")")
    }
    if rest { return alternatives }
    if found.dilatedStages.isEmpty, !isSet.contains("dilated") { alternatives.append("--set dilated=3,4") }
    if case .group = found.normalization, !isSet.contains("norm_groups") {
      alternatives.append("--set norm_groups=16")
    }
    if found.stem == .small, !isSet.contains("stem_stride"), !isSet.contains("stem_pool") {
      alternatives += ["--set stem_stride=2", "--set stem_pool=max"]
    }
    return alternatives
  }
}

extension Dialect {
  /// A network with what the dialect's names say beside its keys and shapes.
  fileprivate func implied(by architecture: Architecture) throws(RecognitionError) -> Architecture {
    var result = architecture
    for (name, value) in map.settings where name != "statistics" {
      switch name {
      case "block":
        guard result.blocks.allSatisfy({ $0.rawValue == value }) else {
          throw RecognitionError("\(title) with other than \(value) blocks differ from all that rsw knows")
        }
      // Who puts the stride on the first convolution does so in networks without groups only.
      case "stride" where result.groups > 1: continue
      default: try result.set(name, value)
      }
    }
    return result
  }

  /// The settings, such as `stride=second`, without which a network is taken for another one once its tensors have
  /// the dialect's names.
  ///
  /// - Throws: ``RecognitionError`` when the names are of networks that have other blocks.
  public func settings(toRead architecture: Architecture) throws(RecognitionError) -> [String] {
    let implied = try implied(by: architecture)
    return map.settings.compactMap { name, _ in
      guard let value = architecture.setting(name), value != implied.setting(name) else { return nil }
      return "\(name)=\(value)"
    }
  }
}

extension Hints {
  /// The first variant with the network's keys and shapes that the file names.
  private func namedVariant(_ found: Architecture) -> (place: String, Variant)? {
    for (place, name) in names {
      // A name may have a tag, as `resnet50.a1_in1k`.
      if let (variant, _) = found.variant(in: name) { return (place, variant) }
    }
    return nil
  }
}

extension Architecture {
  /// Takes what tells a variant from its lookalikes, and notes who said so where there are any.
  fileprivate mutating func tell(_ variant: Variant, _ step: String, _ steps: inout [String]) {
    if !lookalikes.isEmpty || variant.architecture.antialiasing != .none { steps.append(step) }
    antialiasing = variant.architecture.antialiasing
  }

  /// Whether the other network has the same parameters as this one, whatever its width and classes.
  func hasSameKeys(as other: Architecture) -> Bool {
    var plain = self
    plain.antialiasing = other.antialiasing
    return plain.matches(other)
  }

  /// The variant that a part of the path names and that has the same keys and shapes, with that part.
  ///
  /// The file's name counts most, then the folders that it lies in; of several names in it the longest.
  func variant(in path: String?) -> (Variant, part: String)? {
    guard let path else { return nil }
    let candidates = Variant.all.filter { hasSameKeys(as: $0.architecture) }
    for part in path.split(separator: "/").suffix(4).reversed() {
      let words = Array(part.lowercased().utf8)
      let named = candidates.filter { words.contains(word: $0.name) }
      if let longest = named.max(by: { $0.name.count < $1.name.count }) { return (longest, String(part)) }
    }
    return nil
  }
}

extension [UInt8] {
  /// Whether `name` stands in the text by itself, as `resnet50` does in `gluon_resnet50_v1b` but not in `seresnet50`.
  fileprivate func contains(word name: String) -> Bool {
    func isPart(_ byte: UInt8) -> Bool {
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || byte >= 0x80
    }
    let name = name.utf8
    return (0...Swift.max(0, count - name.count)).contains { start in
      let end = start + name.count
      return end <= count && self[start..<end].elementsEqual(name)
        && (start == 0 || !isPart(self[start - 1])) && (end == count || !isPart(self[end]))
    }
  }
}
