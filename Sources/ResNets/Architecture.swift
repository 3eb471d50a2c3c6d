// Everything that a network of the ResNet family is built from. Variants.swift has the published ones.

/// Which residual network it is.
public struct Architecture: Sendable, Equatable {
  /// The kind of residual block.
  public enum Block: String, Sendable {
    /// 3×3, 3×3: resnet18 and resnet34.
    case basic
    /// 1×1, 3×3, 1×1 to four times the planes: resnet50 and deeper, ResNeXt, wide ResNet.
    case bottleneck

    /// Output channels of a block for each of its planes.
    public var expansion: Int { self == .basic ? 1 : 4 }
  }

  /// What stands before the first stage.
  public enum Stem: Sendable, Equatable {
    /// 7×7 with stride 2, then pooling with stride 2.
    case plain
    /// Three 3×3, the first with stride 2, then pooling: the channels of the first two. "Bag of tricks",
    /// He et al. 2018, arXiv 1812.01187.
    case deep(Int, Int)
    /// 3×3 with stride 1 and no pooling, for the 32 × 32 pixels of CIFAR.
    case small
  }

  /// How the shortcut of a block that changes size or channels is computed.
  public enum Shortcut: String, Sendable {
    /// A convolution with the block's stride and a normalisation.
    case convolution
    /// A 2×2 average pooling, a 1×1 convolution and a normalisation: ResNet-D of arXiv 1812.01187.
    case averagePool = "average_pool"
    /// Every second pixel, and zeros for the channels that are missing: option A of arXiv 1512.03385.
    case padding
  }

  /// What is used in place of a stride, so that a shifted image gives shifted features.
  public enum Antialiasing: String, Sendable {
    /// Strides as they are.
    case none
    /// Average pooling.
    case average
    /// A binomial filter: Zhang 2019, arXiv 1904.11486.
    case blur
  }

  /// What weighs the channels at the end of a block.
  public enum Attention: Sendable, Equatable {
    /// Nothing.
    case none
    /// Hu et al. 2017, arXiv 1709.01507, with the inner channels divided by `reduction`.
    case squeezeExcitation(reduction: Int)
    /// Wang et al. 2019, arXiv 1910.03151.
    case efficientChannel
  }

  /// What normalises the channels after a convolution.
  public enum Normalization: Sendable, Equatable {
    /// Batch normalisation with its running statistics.
    case batch
    /// Wu and He 2018, arXiv 1803.08494.
    case group(groups: Int)
    /// Nothing: batch normalisation was folded into the convolutions, which have biases for it.
    case folded
  }

  /// Which convolution of a bottleneck has the stride.
  public enum StridePlacement: String, Sendable {
    /// The 1×1, as in the paper and the weights of Caffe, MSRA, Detectron and Keras.
    case first
    /// The 3×3, as torchvision has it ("ResNet v1.5").
    case second
  }

  /// The stem's max pooling, 3×3 with stride 2.
  public enum StemPooling: String, Sendable {
    /// With a padding of 1.
    case padded
    /// Without padding, and with windows that reach beyond the end: Caffe's way.
    case ceil
  }

  /// How the last feature maps become one vector. Both are equal at 224 × 224 pixels.
  public enum Head: String, Sendable {
    /// The mean of all pixels, whatever the size, as torchvision has it.
    case adaptive
    /// `AvgPool2d(7, stride: 1)`, as PyTorch's classic tutorial has it.
    case tutorial
  }

  /// The kind of block of each stage.
  public var blocks: [Block]
  /// Blocks of each stage, `layer1` and so on.
  public var layers: [Int]
  /// Planes of each stage.
  public var planes = [64, 128, 256, 512]
  /// What stands before the first stage.
  public var stem = Stem.plain
  /// Channels that come out of the stem.
  public var stemChannels = 64
  /// Whether the stem's pooling is a 3×3 convolution: Bello et al. 2021, arXiv 2103.07579 (ResNet-RS).
  public var replacesStemPool = false
  /// The stem's max pooling.
  public var stemPooling = StemPooling.padded
  /// Groups of a bottleneck's 3×3 convolution, as torchvision's `groups`: 1, or ResNeXt's 32 and 64.
  public var groups = 1
  /// Channels of each of these groups for 64 planes, as torchvision's `width_per_group`.
  public var widthPerGroup = 64
  /// By what the channels after a block's first convolution are divided: 2 in SENet-154.
  public var firstReduction = 1
  /// How shortcuts change size and channels.
  public var shortcut = Shortcut.convolution
  /// The kernel of a shortcut's convolution where it has a stride: 3 in SENet-154.
  public var shortcutKernel = 1
  /// What weighs the channels at the end of a block.
  public var attention = Attention.none
  /// What normalises the channels after a convolution.
  public var normalization = Normalization.batch
  /// What normalisation adds to the variance.
  public var eps = usualEps
  /// Whether convolutions have biases beside their normalisation, as in Keras.
  public var hasBiases = false
  /// What is used in place of a stride.
  public var antialiasing = Antialiasing.none
  /// The stride of the stem's first convolution, where it is not what the kind of stem has.
  public var stemStride: Int?
  /// Whether the stem pools, where that is not what the kind of stem has.
  public var poolsStem: Bool?
  /// Which convolution of a bottleneck has the stride.
  public var stridePlacement = StridePlacement.second
  /// Stages (3 for `layer3`) whose stride is replaced by dilation, as in networks for segmentation.
  public var dilatedStages: Set<Int> = []
  /// Outputs of `fc`; nil for a network without one, which gives features.
  public var classes: Int? = 1000
  /// The pooling before `fc`.
  public var head = Head.adaptive
  /// Sizes that are not what the rest says, as pruning leaves them, by the layer's path: the output channels
  /// of a convolution, or the kernel of a channel attention.
  public var sizes: [String: Int] = [:]

  static let usualEps = 1e-5

  /// A network with `layers` blocks of one kind in its stages.
  public init(block: Block, layers: [Int]) {
    blocks = layers.map { _ in block }
    self.layers = layers
  }

  /// The published variant called `name`; nil when there is none.
  public init?(named name: String) {
    guard let variant = Variant.all.first(where: { $0.name == name }) else { return nil }
    self = variant.architecture
  }

  /// Channels that come out of a stage; the first is 0.
  func outChannels(stage: Int) -> Int { planes[stage] * blocks[stage].expansion }

  /// Channels of a bottleneck's 3×3 convolution.
  func width(stage: Int) -> Int { planes[stage] * widthPerGroup / 64 * groups }

  /// Channels before the head: `fc` takes so many features.
  public var features: Int {
    let last = layers.count - 1
    let path = "layer\(last + 1).\(layers[last] - 1).conv\(blocks[last] == .basic ? 2 : 3)"
    return sizes[path] ?? outChannels(stage: last)
  }

  /// Whether its convolutions have biases, for whatever reason.
  var convolutionsHaveBiases: Bool { hasBiases || normalization == .folded }

  /// The same network with every channel count of stem and stages times `numerator / denominator`.
  func scaled(by numerator: Int, over denominator: Int) -> Architecture {
    var result = self
    func scale(_ channels: Int) -> Int { channels * numerator / denominator }
    result.planes = planes.map(scale)
    result.stemChannels = scale(stemChannels)
    if case .deep(let first, let second) = stem { result.stem = .deep(scale(first), scale(second)) }
    return result
  }
}

extension Architecture: CustomStringConvertible {
  /// The variant's name, or its blocks and layers, and what differs from the published one.
  public var description: String {
    var parts = [variant?.name ?? "ResNet with \(blocksText) \(layers)"]
    let width = variant?.architecture.planes[0] ?? 64
    if planes[0] != width { parts[0] += " of width \(planes[0])" }
    if variant == nil, groups != 1 || widthPerGroup != 64 {
      parts.append("\(groups) groups of \(widthPerGroup)")
    }
    if variant == nil, !sizes.isEmpty { parts.append("pruned") }
    if variant == nil, antialiasing != .none { parts.append("\(antialiasing.rawValue) antialiasing") }
    if case .group(let groups) = normalization { parts.append("normalised in \(groups) groups") }
    if normalization == .folded { parts.append("BatchNorm folded into its convolutions") }
    if eps != Architecture.usualEps { parts.append("eps \(eps)") }
    if stemPooling == .ceil { parts.append("max pooling that rounds up") }
    if let stemStride { parts.append("stem of stride \(stemStride)") }
    if let poolsStem { parts.append(poolsStem ? "max pooling in the stem" : "no pooling in the stem") }
    if stridePlacement == .first { parts.append("stride on conv1") }
    if !dilatedStages.isEmpty {
      parts.append("dilation in " + dilatedStages.sorted().map { "layer\($0)" }.joined(separator: " and "))
    }
    if head == .tutorial { parts.append("AvgPool2d(7) head") }
    parts.append(classes.map { "\($0) classes" } ?? "no classifier: features of \(features)")
    return parts.joined(separator: ", ")
  }

  private var blocksText: String {
    Set(blocks.map(\.rawValue)).count == 1
      ? "\(blocks[0].rawValue) blocks" : "blocks \(blocks.map(\.rawValue).joined(separator: ", "))"
  }
}
