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
    var impliesStride = false
    for (name, value) in dialect.map.settings where name != "statistics" {
      if name == "block" {
        guard found.blocks.allSatisfy({ $0.rawValue == value }) else {
          throw RecognitionError(
            "\(dialect.title) with other than \(value) blocks differ from all that rsw knows")
        }
        continue
      }
      // Who puts the stride on the first convolution does so in networks without groups only.
      if name == "stride" {
        impliesStride = true
        if hasGroups { continue }
      }
      try found.set(name, value)
    }

    // How much of what keys and shapes leave open is settled.
    var (lookalikes, rest) = (false, false)
    if let recorded {
      try found.adopt(recorded)
      (lookalikes, rest) = (true, true)
    } else if let (place, variant) = namedVariant(found) {
      if !found.lookalikes.isEmpty || variant.architecture.antialiasing != .none {
        steps.append("\(place) says \(variant.name)")
      }
      found.antialiasing = variant.architecture.antialiasing
      lookalikes = true
    } else if let (variant, part) = found.variant(in: path) {
      if !found.lookalikes.isEmpty || variant.architecture.antialiasing != .none {
        steps.append("the name \(printable(part)) tells it from its lookalikes")
      }
      found.antialiasing = variant.architecture.antialiasing
      lookalikes = true
      // As published: torchvision's and timm's files are called by the variant.
      rest =
        part.lowercased().hasPrefix(variant.name) && path?.split(separator: "/").last.map(String.init) == part
      let words = part.lowercased()
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
  /// Sets what keys and shapes can't tell.
  ///
  /// - Parameters:
  ///   - name: `stride` (`first`, `second`), `antialiasing` (`none`, `average`, `blur`), `dilated` (stages such as
  ///     `3,4`), `head` (`adaptive`, `tutorial`), `pool` (`padded`, `ceil`), `stem_stride` (`1`, `2`), `stem_pool` (`none`,
  ///     `max`), `eps` or `norm_groups`.
  /// - Throws: ``RecognitionError`` when there is no such setting or value.
  public mutating func set(_ name: String, _ value: String) throws(RecognitionError) {
    func known<Choice>(_ choice: Choice?, _ choices: String) throws(RecognitionError) -> Choice {
      guard let choice else {
        throw RecognitionError(hints: "\(name)=\(printable(value)) can't be set; there are \(choices)")
      }
      return choice
    }
    switch name {
    case "stride": stridePlacement = try known(StridePlacement(rawValue: value), "first, second")
    case "antialiasing": antialiasing = try known(Antialiasing(rawValue: value), "none, average, blur")
    case "head": head = try known(Head(rawValue: value), "adaptive, tutorial")
    case "pool": stemPooling = try known(StemPooling(rawValue: value), "padded, ceil")
    case "stem_stride": stemStride = try known(["1": 1, "2": 2][value], "1, 2")
    case "stem_pool": poolsStem = try known(["none": false, "max": true][value], "none, max")
    case "eps":
      let number = Double(value).flatMap { $0 >= 0 && $0 < 1 ? $0 : nil }
      eps = try known(number, "numbers from 0 to 1")
    case "dilated":
      let stages = value.split(separator: ",").map { Int($0) }
      let allowed = 2...max(2, layers.count)
      let isGood = stages.allSatisfy { $0.map(allowed.contains) ?? false }
      dilatedStages = try known(
        isGood ? Set(stages.compactMap { $0 }) : nil, "stages \(allowed), such as 3,4")
    case "norm_groups":
      let groups = Int(value).flatMap { $0 > 0 && $0 <= 1 << 16 ? $0 : nil }
      normalization = .group(groups: try known(groups, "numbers of groups"))
    default:
      throw RecognitionError(
        hints:
          "\(printable(name)) can't be set; there are stride, antialiasing, dilated, head, pool, stem_stride, stem_pool, eps and norm_groups"
      )
    }
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
      let named = candidates.filter { words.name($0.name) }
      if let longest = named.max(by: { $0.name.count < $1.name.count }) { return (longest, String(part)) }
    }
    return nil
  }

  /// Takes what an rsw file recorded that keys and shapes don't tell.
  ///
  /// - Throws: ``RecognitionError`` when it is another network's, or a value can't be.
  mutating func adopt(_ recorded: JSON) throws(RecognitionError) {
    func differs(_ name: String, _ values: [Int]) -> Bool {
      guard let recorded = recorded[name] else { return false }
      return recorded.array?.map { $0.int ?? -1 } != values
    }
    guard !differs("layers", layers), !differs("planes", planes) else {
      throw RecognitionError(
        hints: "the architecture that the file records does not go with its keys: convert it again")
    }
    for name in ["stride", "antialiasing", "head", "pool", "stem_pool", "eps", "norm_groups", "stem_stride"] {
      switch recorded[name] {
      case nil, .null?: continue
      case .string(let value)?: try set(name, value)
      case .int(let value)?: try set(name, "\(value)")
      case .double(let value)?: try set(name, "\(value)")
      default:
        throw RecognitionError(hints: "the architecture that the file records has a \(name) that can't be")
      }
    }
    guard let stages = recorded["dilated_stages"] else { return }
    let list = stages.array?.map { $0.int.map { "\($0)" } ?? "?" } ?? ["?"]
    if !list.isEmpty { try set("dilated", list.joined(separator: ",")) }
  }

  /// The architecture as a JSON object, as rsw files hold it.
  package var json: JSON {
    var stem: [Int] = [stemChannels]
    if case .deep(let first, let second) = self.stem { stem = [first, second, stemChannels] }
    var entries: [(name: String, value: JSON)] = [
      ("family", .string("resnet")), ("variant", variantName.map { .string($0) } ?? .null),
      (
        "block",
        Set(blocks).count == 1 ? .string(blocks[0].rawValue) : .strings(blocks.map(\.rawValue))
      ),
      ("layers", .ints(layers)), ("planes", .ints(planes)), ("stem", .ints(stem)), ("groups", .int(groups)),
      ("width_per_group", .int(widthPerGroup)), ("shortcut", .string(shortcut.rawValue)),
      ("antialiasing", .string(antialiasing.rawValue)), ("stride", .string(stridePlacement.rawValue)),
      ("dilated_stages", .ints(dilatedStages.sorted())), ("eps", .double(eps)),
      ("classes", classes.map { .int($0) } ?? .null), ("features", .int(features)),
      ("head", .string(head.rawValue)), ("pool", .string(stemPooling.rawValue)),
    ]
    switch attention {
    case .none: break
    case .squeezeExcitation: entries.append(("attention", .string("squeeze_excitation")))
    case .efficientChannel: entries.append(("attention", .string("efficient_channel")))
    }
    if let stemStride { entries.append(("stem_stride", .int(stemStride))) }
    if let poolsStem { entries.append(("stem_pool", .string(poolsStem ? "max" : "none"))) }
    if case .group(let groups) = normalization { entries.append(("norm_groups", .int(groups))) }
    return .object(entries)
  }
}

extension [UInt8] {
  /// Whether `name` stands in the text by itself, as `resnet50` does in `gluon_resnet50_v1b` but not in `seresnet50`.
  fileprivate func name(_ name: String) -> Bool {
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
