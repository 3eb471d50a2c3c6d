// The variants of the ResNet family: one table, one row a variant.

import Checkpoints

/// Which residual network it is: everything that its module tree is built from.
public struct Architecture: Sendable, Equatable {
  /// The kind of residual block.
  public enum Block: String, Sendable {
    /// 3×3, 3×3: resnet18 and resnet34.
    case basic
    /// 1×1, 3×3 carrying the stride, 1×1 to four times the planes: resnet50 and deeper, ResNeXt, wide ResNet.
    case bottleneck

    /// Output channels of a block for each of its planes.
    public var expansion: Int { self == .basic ? 1 : 4 }
  }

  /// How the last feature maps become one vector. Both are equal at 224 × 224 pixels.
  public enum Head: String, Sendable {
    /// The mean of all pixels, whatever the size, as torchvision has it.
    case adaptive
    /// `AvgPool2d(7, stride: 1)`, as PyTorch's classic tutorial has it.
    case tutorial
  }

  /// The kind of block.
  public var block: Block
  /// Blocks in `layer1` to `layer4`.
  public var layers: [Int]
  /// Channels of the stem and planes of `layer1`; each further stage doubles them.
  public var width = 64
  /// Groups of a bottleneck's 3×3 convolution, as torchvision's `groups`: 1, or ResNeXt's 32 and 64.
  public var groups = 1
  /// Channels of each of these groups for 64 planes, as torchvision's `width_per_group`.
  public var widthPerGroup = 64
  /// Outputs of `fc`.
  public var classes = 1000
  /// The pooling before `fc`.
  public var head = Head.adaptive

  private init(_ block: Block, _ layers: [Int], groups: Int = 1, widthPerGroup: Int = 64) {
    self.block = block
    self.layers = layers
    self.groups = groups
    self.widthPerGroup = widthPerGroup
  }

  /// A network with blocks of any number.
  public init(
    block: Block, layers: [Int], width: Int = 64, groups: Int = 1, widthPerGroup: Int = 64,
    classes: Int = 1000, head: Head = .adaptive
  ) {
    self.block = block
    self.layers = layers
    self.width = width
    self.groups = groups
    self.widthPerGroup = widthPerGroup
    self.classes = classes
    self.head = head
  }

  /// The published variants by name: He et al. 2015, arXiv 1512.03385, table 1; ResNeXt of Xie et al. 2016,
  /// arXiv 1611.05431; wide ResNets of Zagoruyko and Komodakis 2016, arXiv 1605.07146.
  public static let variants: [(name: String, architecture: Architecture)] = [
    ("resnet18", Architecture(.basic, [2, 2, 2, 2])),
    ("resnet34", Architecture(.basic, [3, 4, 6, 3])),
    ("resnet50", Architecture(.bottleneck, [3, 4, 6, 3])),
    ("resnet101", Architecture(.bottleneck, [3, 4, 23, 3])),
    ("resnet152", Architecture(.bottleneck, [3, 8, 36, 3])),
    ("resnext50_32x4d", Architecture(.bottleneck, [3, 4, 6, 3], groups: 32, widthPerGroup: 4)),
    ("resnext101_32x8d", Architecture(.bottleneck, [3, 4, 23, 3], groups: 32, widthPerGroup: 8)),
    ("resnext101_64x4d", Architecture(.bottleneck, [3, 4, 23, 3], groups: 64, widthPerGroup: 4)),
    ("wide_resnet50_2", Architecture(.bottleneck, [3, 4, 6, 3], widthPerGroup: 128)),
    ("wide_resnet101_2", Architecture(.bottleneck, [3, 4, 23, 3], widthPerGroup: 128)),
  ]

  /// The published variant called `name`, for 1000 classes; nil when there is none.
  public init?(named name: String) {
    guard let row = Architecture.variants.first(where: { $0.name == name }) else { return nil }
    self = row.architecture
  }

  /// The published variant with these blocks, whatever its width and classes.
  public var variantName: String? {
    Architecture.variants.first { _, variant in
      variant.block == block && variant.layers == layers && variant.groups == groups
        && variant.widthPerGroup == widthPerGroup
    }?.name
  }

  /// Channels of the 3×3 convolution of a bottleneck.
  func middleChannels(planes: Int) -> Int { planes * widthPerGroup / 64 * groups }

  /// Channels before the head: `fc` takes so many features.
  public var features: Int { 8 * width * block.expansion }

  /// The architecture as a JSON object, as rsw files hold it.
  package var json: JSON {
    .object([
      ("family", .string("resnet")), ("variant", variantName.map { .string($0) } ?? .null),
      ("block", .string(block.rawValue)), ("layers", .ints(layers)), ("width", .int(width)),
      ("groups", .int(groups)), ("width_per_group", .int(widthPerGroup)), ("classes", .int(classes)),
      ("head", .string(head.rawValue)),
    ])
  }
}

extension Architecture: CustomStringConvertible {
  /// The variant's name, or its block and layers, and what differs from the published one.
  public var description: String {
    let middle = groups == 1 && widthPerGroup == 64 ? "" : ", \(groups) groups of \(widthPerGroup)"
    let name = variantName ?? "ResNet with \(block.rawValue) blocks \(layers)\(middle)"
    return name + (width == 64 ? "" : " of width \(width)") + ", \(classes) classes"
  }
}
