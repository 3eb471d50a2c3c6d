// Whose names a state dict has. Each dialect is one file of rules in Dialects/, which is compiled in.

import Checkpoints

/// A naming convention for ResNets.
public struct Dialect: Sendable {
  /// The name to call it by, such as `huggingface`.
  public let name: String
  /// Whose it is.
  public let title: String
  /// The rules; none for the network's own names.
  public let map: KeyMap
  /// A name without which it is another dialect, as their names alone don't tell them apart.
  let needs: String?
  /// For each rule, whether whatever it gives is a name of a network; where not, its results have to be looked at.
  private let isSafe: [Bool]

  /// The network's own names, which are torchvision's and, for what torchvision has not, timm's.
  public static let torchvision = Dialect(
    name: "torchvision", title: "torchvision and timm", map: KeyMap(), needs: nil)

  /// Every dialect. Where two fit equally well, the first is taken.
  public static let all: [Dialect] =
    [torchvision]
    + [
      ("torchvision-segmentation", PackageResources.torchvision_segmentation_map),
      ("huggingface", PackageResources.huggingface_map),
      ("huggingface-model", PackageResources.huggingface_model_map),
      ("detectron2", PackageResources.detectron2_map),
      ("detectron2-torchvision", PackageResources.detectron2_torchvision_map),
      ("caffe2", PackageResources.caffe2_map),
      ("mmpretrain", PackageResources.mmpretrain_map),
      ("mmpretrain-c", PackageResources.mmpretrain_c_map),
      ("mmpretrain-d", PackageResources.mmpretrain_d_map),
      ("keras", PackageResources.keras_map),
      ("senet", PackageResources.senet_map),
      ("cifar", PackageResources.cifar_map),
      ("sequential", PackageResources.sequential_map),
    ].compactMap { name, text in Dialect(name, text) }

  /// The dialect called `name`; timm's names are torchvision's.
  public init?(named name: String) {
    guard let dialect = Dialect.all.first(where: { $0.name == (name == "timm" ? "torchvision" : name) })
    else {
      return nil
    }
    self = dialect
  }

  /// Nil for a file that can't be read, which a test rules out.
  private init?(_ name: String, _ text: [UInt8]) {
    guard let map = try? KeyMap(parsing: String(decoding: text, as: UTF8.self)) else { return nil }
    self.init(name: name, title: map.notes["title"] ?? name, map: map, needs: map.notes["needs"])
  }

  private init(name: String, title: String, map: KeyMap, needs: String?) {
    (self.name, self.title, self.map, self.needs) = (name, title, map, needs)
    isSafe = map.rules.map { rule in
      ["conv1.", "bn1."].contains { rule.start.starts(with: $0.utf8) }
    }
  }

  private var isOwn: Bool { map.rules.isEmpty }

  /// Whether its networks lie at the root, so that any name beside theirs may be of a layer that nothing knows.
  var isStrict: Bool { isOwn || map.notes["beside"] == "nothing" }

  /// What the dialect calls our `name`, with every spelling.
  func spellings(_ name: String) -> [[UInt8]] { isOwn ? [Array(name.utf8)] : map.spellings(name) }

  /// Our name for what stands from `start` on in a name of the dialect's, if it is part of a network.
  func ours(_ name: [UInt8], from start: Int) -> KeyMap.Renamed? {
    if isOwn {
      guard Dialect.isNetworkKey(name[start...]) else { return nil }
      return KeyMap.Renamed(name: String(decoding: name[start...], as: UTF8.self), axes: nil)
    }
    guard let renamed = map.ours(name, from: start), Dialect.isNetworkKey(renamed.name.utf8) else {
      return nil
    }
    return renamed
  }

  /// Whether what stands from `start` on in a name of the dialect's is part of a network.
  func knows(_ name: [UInt8], from start: Int) -> Bool {
    if isOwn { return Dialect.isNetworkKey(name[start...]) }
    guard let rule = map.rule(for: name, from: start) else { return false }
    return isSafe[rule] || ours(name, from: start) != nil
  }

  /// Our name for one of the dialect's; nil where it is no part of a network.
  public func ours(_ name: String) -> KeyMap.Renamed? { ours(Array(name.utf8), from: 0) }

  /// The dialect's name for one of ours; nil where it has none.
  public func theirs(_ name: String) -> KeyMap.Renamed? {
    isOwn ? KeyMap.Renamed(name: name, axes: nil) : map.theirs(name)
  }

  /// Of normalisations that only scale and shift: what gives 1 with the eps that is added to it.
  static let impliedVariance: Float = 1 - 1e-5

  /// Whether the dialect leaves a tensor of ours to be understood: statistics that change nothing, and counters.
  public func implies(_ name: String, _ tensor: Tensor) throws(CheckpointError) -> Bool {
    if name.hasSuffix(".num_batches_tracked") { return true }
    guard map.settings.contains(where: { $0.name == "statistics" && $0.value == "none" }) else {
      return false
    }
    if name.hasSuffix(".running_mean") { return try tensor.floats().allSatisfy { $0 == 0 } }
    guard name.hasSuffix(".running_var") else { return false }
    return try tensor.floats().allSatisfy { $0 == Dialect.impliedVariance }
  }

  /// Whether a name stands at a place where our networks have parameters.
  private static func isNetworkKey<Name: Collection<UInt8>>(_ bytes: Name) -> Bool {
    guard let dot = bytes.firstIndex(of: UInt8(ascii: ".")) else { return false }
    let (first, rest) = (bytes[..<dot], bytes[bytes.index(after: dot)...])
    if first.starts(with: "layer".utf8) {
      guard isNumber(first.dropFirst(5)), first.dropFirst(5).first != UInt8(ascii: "0"),
        let dot = rest.firstIndex(of: UInt8(ascii: ".")), isNumber(rest[..<dot])
      else { return false }
      let part = rest[rest.index(after: dot)...].prefix { $0 != UInt8(ascii: ".") }
      return blockParts.contains { part.elementsEqual($0) }
    }
    if first.elementsEqual("fc".utf8) {
      return rest.elementsEqual("weight".utf8) || rest.elementsEqual("bias".utf8)
    }
    return first.elementsEqual("conv1".utf8) || first.elementsEqual("bn1".utf8)
      || first.elementsEqual("maxpool".utf8)
  }

  private static let blockParts = ["conv1", "bn1", "conv2", "bn2", "conv3", "bn3", "downsample", "se"].map {
    Array($0.utf8)
  }

  private static func isNumber<Digits: Collection<UInt8>>(_ digits: Digits) -> Bool {
    !digits.isEmpty && digits.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
  }

  /// Whether `name` of ours is that of a projection or of another head that trainers put on top of a network.
  ///
  /// An MLP in the place of `fc` is one too, as in MoCo v2.
  static func isForeignHead(_ name: ArraySlice<UInt8>) -> Bool {
    let components = String(decoding: name, as: UTF8.self).split(separator: ".", maxSplits: 2)
    guard let first = components.first else { return false }
    return foreignHeads.contains(String(first)) || first == "fc" && components.count > 2
  }

  private static let foreignHeads: Set<String> = [
    "head", "heads", "classifier", "aux_classifier", "linear", "mlp", "neck", "queue", "queue_ptr",
    "projection_head", "projection", "projector", "proj", "predictor", "prediction_head", "prototypes",
    "contrast_head", "contrastive_head", "decode_head", "auxiliary_head", "logit_scale", "fc_norm",
  ]
}
