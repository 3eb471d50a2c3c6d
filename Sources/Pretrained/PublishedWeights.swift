// Published weights: which network they are for, where they are, and how well they do. The table of all of them is in
// PublishedTable.swift.

import Checkpoints
import ResNets

/// Which of a network's published weights are meant.
///
/// torchvision calls its own `IMAGENET1K_V1` and `IMAGENET1K_V2`; others are called by timm's tags, such as
/// `PretrainedWeights("a1_in1k")`.
public struct PretrainedWeights: Hashable, Sendable, CustomStringConvertible {
  /// What stands behind the colon in a name such as `resnet50:v1`.
  public let tag: String

  /// torchvision's first weights: what `pretrained=True` gives in PyTorch's tutorials.
  public static let imageNetV1 = PretrainedWeights("v1")
  /// torchvision's weights of 2021, trained by a longer recipe. resnet18, resnet34 and resnext101_64x4d have none.
  public static let imageNetV2 = PretrainedWeights("v2")

  /// The weights with this tag, in small letters; torchvision's names count as `v1` and `v2`.
  public init(_ tag: String) {
    let tag = tag.lowercased()
    let torchvision = "imagenet1k_"
    self.tag = tag.hasPrefix(torchvision) ? String(tag.dropFirst(torchvision.count)) : tag
  }

  public var description: String { tag }
}

/// A file of weights that somebody published.
public struct PublishedWeights: Sendable, Hashable {
  /// The network's name, as `Variant` of `ResNets` has it.
  public let network: String
  /// Which of its weights these are.
  public let weights: PretrainedWeights
  /// Where the file is.
  public let url: String
  /// The file's size in bytes, to the 524 that a thousandth of a mebibyte leaves open; nil where it isn't published.
  public let byteCount: Int?
  /// The share of the validation images of ImageNet, or of CIFAR-10, whose class is the first answer, in per cent,
  /// as the publisher measured it.
  public let top1: Double?
  /// The share whose class is among the first five.
  public let top5: Double?

  package init(
    _ network: String, _ weights: PretrainedWeights, _ url: String, byteCount: Int? = nil,
    top1: Double? = nil, top5: Double? = nil
  ) {
    (self.network, self.weights, self.url) = (network, weights, url)
    (self.byteCount, self.top1, self.top5) = (byteCount, top1, top5)
  }

  /// What `rsw fetch` calls them, such as `resnet50:v2`.
  public var name: String { "\(network):\(weights)" }

  /// The file's name, by which PyTorch finds it in its cache too.
  public var fileName: String { url.split(separator: "/").last.map(String.init) ?? url }

  /// With what the file's SHA-256 begins: the digits in its name.
  public var digits: String? { SHA256.digits(inName: fileName) }

  /// How many numbers the network learned.
  public var parameterCount: Int? {
    guard let architecture = Architecture(named: network) else { return nil }
    return ResNet(architecture).parameterCount
  }

  /// More bytes than these are not the file.
  var mostBytes: Int {
    guard let byteCount else { return 4_000_000_000 }
    return byteCount + byteCount / 20 + 1_000_000
  }
}

extension PublishedWeights {
  /// The weights of `network` that `weights` names, or the ones that stand first where nothing does.
  ///
  /// - Throws: ``FetchError`` with what there is.
  public static func of(_ network: String, _ weights: PretrainedWeights? = nil) throws(FetchError)
    -> PublishedWeights
  {
    let rows = all.filter { $0.network == network }
    guard let first = rows.first else {
      let near = nearestNames(to: network, among: all.map(\.network)).first
      let hint =
        near.map { "Did you mean \($0)?" }
        ?? "'rsw fetch --list' lists those there are."
      throw FetchError(
        .noSuchWeights, "no published weights of \(quoted(network)) are known. \(hint)")
    }
    guard let weights else { return first }
    guard let row = rows.first(where: { $0.weights == weights }) else {
      throw FetchError(
        .noSuchWeights,
        "\(network) has no weights \(quoted(weights.tag)); it has \(rows.map(\.weights.tag).joined(separator: ", "))."
      )
    }
    return row
  }

  /// The weights called `name`: `resnet50`, `resnet50:v1`, timm's `resnet50.a1_in1k`, or the file's name.
  ///
  /// - Throws: ``FetchError`` with what there is.
  public static func named(_ name: String) throws(FetchError) -> PublishedWeights {
    if let row = all.first(where: { $0.fileName == name }) { return row }
    let parts = name.split(maxSplits: 1, omittingEmptySubsequences: false) { $0 == ":" || $0 == "." }
    return try of(String(parts[0]), parts.count > 1 ? PretrainedWeights(String(parts[1])) : nil)
  }
}
