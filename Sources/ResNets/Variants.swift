// The published variants of the ResNet family: one table, one row a variant.
//
// torchvision's ten; the models of timm.models.resnet (timm 1.0.31), which has the same ten among them; and the
// CIFAR ResNets of He et al. 2015, section 4.2.

/// A published network.
public struct Variant: Sendable {
  /// The name that it was published under.
  public let name: String
  /// What it is built from.
  public let architecture: Architecture

  private init(_ name: String, _ architecture: Architecture) {
    self.name = name
    self.architecture = architecture
  }

  /// A row: what it says nothing about is as in torchvision's resnet50.
  private init(
    _ name: String, _ block: Architecture.Block, _ layers: [Int], _ stem: Architecture.Stem = .plain,
    _ shortcut: Architecture.Shortcut = .convolution, groups: Int = 1, width: Int = 64,
    attention: Architecture.Attention = .none, antialiasing: Architecture.Antialiasing = .none,
    normalization: Architecture.Normalization = .batch, replacesStemPool: Bool = false,
    pruned: [Int]? = nil
  ) {
    var architecture = Architecture(block: block, layers: layers)
    architecture.stem = stem
    if case .deep(_, let second) = stem { architecture.stemChannels = 2 * second }
    architecture.shortcut = shortcut
    (architecture.groups, architecture.widthPerGroup) = (groups, width)
    (architecture.attention, architecture.antialiasing) = (attention, antialiasing)
    (architecture.normalization, architecture.replacesStemPool) = (normalization, replacesStemPool)
    if let pruned { architecture.sizes = ResidualNetwork.sizes(pruned, of: architecture) }
    self.init(name, architecture)
  }

  private static let deep = Architecture.Stem.deep(32, 32)
  private static let wideDeep = Architecture.Stem.deep(64, 64)
  private static let tiered = Architecture.Stem.deep(24, 32)
  private static let se = Architecture.Attention.squeezeExcitation(reduction: 16)
  private static let strongSE = Architecture.Attention.squeezeExcitation(reduction: 4)
  private static let eca = Architecture.Attention.efficientChannel

  /// Every published variant. Where several share keys and shapes, the plain one comes first.
  public static let all: [Variant] = [
    // He et al. 2015, arXiv 1512.03385, table 1
    Variant("resnet18", .basic, [2, 2, 2, 2]),
    Variant("resnet34", .basic, [3, 4, 6, 3]),
    Variant("resnet26", .bottleneck, [2, 2, 2, 2]),
    Variant("resnet50", .bottleneck, [3, 4, 6, 3]),
    Variant("resnet101", .bottleneck, [3, 4, 23, 3]),
    Variant("resnet152", .bottleneck, [3, 8, 36, 3]),
    Variant("resnet200", .bottleneck, [3, 24, 36, 3]),

    // ResNeXt: Xie et al. 2016, arXiv 1611.05431
    Variant("resnext50_32x4d", .bottleneck, [3, 4, 6, 3], groups: 32, width: 4),
    Variant("resnext101_32x4d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 4),
    Variant("resnext101_32x8d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 8),
    Variant("resnext101_32x16d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 16),
    Variant("resnext101_32x32d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 32),
    Variant("resnext101_64x4d", .bottleneck, [3, 4, 23, 3], groups: 64, width: 4),
    Variant("resnext50d_32x4d", .bottleneck, [3, 4, 6, 3], deep, .averagePool, groups: 32, width: 4),

    // Wide ResNets: Zagoruyko and Komodakis 2016, arXiv 1605.07146
    Variant("wide_resnet50_2", .bottleneck, [3, 4, 6, 3], width: 128),
    Variant("wide_resnet101_2", .bottleneck, [3, 4, 23, 3], width: 128),

    // "Bag of tricks": He et al. 2018, arXiv 1812.01187. c, s: deep stem; d: and average pooling in
    // shortcuts; t: tiered stem
    Variant("resnet50c", .bottleneck, [3, 4, 6, 3], deep),
    Variant("resnet101c", .bottleneck, [3, 4, 23, 3], deep),
    Variant("resnet152c", .bottleneck, [3, 8, 36, 3], deep),
    Variant("resnet50s", .bottleneck, [3, 4, 6, 3], wideDeep),
    Variant("resnet101s", .bottleneck, [3, 4, 23, 3], wideDeep),
    Variant("resnet152s", .bottleneck, [3, 8, 36, 3], wideDeep),
    Variant("resnet18d", .basic, [2, 2, 2, 2], deep, .averagePool),
    Variant("resnet34d", .basic, [3, 4, 6, 3], deep, .averagePool),
    Variant("resnet26d", .bottleneck, [2, 2, 2, 2], deep, .averagePool),
    Variant("resnet50d", .bottleneck, [3, 4, 6, 3], deep, .averagePool),
    Variant("resnet101d", .bottleneck, [3, 4, 23, 3], deep, .averagePool),
    Variant("resnet152d", .bottleneck, [3, 8, 36, 3], deep, .averagePool),
    Variant("resnet200d", .bottleneck, [3, 24, 36, 3], deep, .averagePool),
    Variant("resnet10t", .basic, [1, 1, 1, 1], tiered, .averagePool),
    Variant("resnet14t", .bottleneck, [1, 1, 1, 1], tiered, .averagePool),
    Variant("resnet26t", .bottleneck, [2, 2, 2, 2], tiered, .averagePool),
    Variant("resnet50t", .bottleneck, [3, 4, 6, 3], tiered, .averagePool),

    // Group normalisation: Wu and He 2018, arXiv 1803.08494
    Variant("resnet50_gn", .bottleneck, [3, 4, 6, 3], normalization: .group(groups: 32)),

    // Squeeze and excitation: Hu et al. 2017, arXiv 1709.01507
    Variant("seresnet18", .basic, [2, 2, 2, 2], attention: se),
    Variant("seresnet34", .basic, [3, 4, 6, 3], attention: se),
    Variant("seresnet50", .bottleneck, [3, 4, 6, 3], attention: se),
    Variant("seresnet101", .bottleneck, [3, 4, 23, 3], attention: se),
    Variant("seresnet152", .bottleneck, [3, 8, 36, 3], attention: se),
    Variant("seresnet50t", .bottleneck, [3, 4, 6, 3], tiered, .averagePool, attention: se),
    Variant("seresnet152d", .bottleneck, [3, 8, 36, 3], deep, .averagePool, attention: se),
    Variant("seresnet200d", .bottleneck, [3, 24, 36, 3], deep, .averagePool, attention: se),
    Variant("seresnet269d", .bottleneck, [3, 30, 48, 8], deep, .averagePool, attention: se),
    Variant("seresnext50_32x4d", .bottleneck, [3, 4, 6, 3], groups: 32, width: 4, attention: se),
    Variant("seresnext101_32x4d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 4, attention: se),
    Variant("seresnext101_32x8d", .bottleneck, [3, 4, 23, 3], groups: 32, width: 8, attention: se),
    Variant("seresnext101_64x4d", .bottleneck, [3, 4, 23, 3], groups: 64, width: 4, attention: se),
    Variant(
      "seresnext26d_32x4d", .bottleneck, [2, 2, 2, 2], deep, .averagePool, groups: 32, width: 4, attention: se
    ),
    Variant(
      "seresnext26t_32x4d", .bottleneck, [2, 2, 2, 2], tiered, .averagePool, groups: 32, width: 4,
      attention: se),
    Variant(
      "seresnext101d_32x8d", .bottleneck, [3, 4, 23, 3], deep, .averagePool, groups: 32, width: 8,
      attention: se),
    Variant("senet154", senet154),

    // Efficient channel attention: Wang et al. 2019, arXiv 1910.03151. Pruned: Aflalo et al. 2020, arXiv 2002.08258
    Variant("ecaresnet26t", .bottleneck, [2, 2, 2, 2], tiered, .averagePool, attention: eca),
    Variant("ecaresnet50t", .bottleneck, [3, 4, 6, 3], tiered, .averagePool, attention: eca),
    Variant("ecaresnet50d", .bottleneck, [3, 4, 6, 3], deep, .averagePool, attention: eca),
    Variant("ecaresnet101d", .bottleneck, [3, 4, 23, 3], deep, .averagePool, attention: eca),
    Variant("ecaresnet200d", .bottleneck, [3, 24, 36, 3], deep, .averagePool, attention: eca),
    Variant("ecaresnet269d", .bottleneck, [3, 30, 48, 8], deep, .averagePool, attention: eca),
    Variant("ecaresnetlight", .bottleneck, [1, 1, 11, 3], .plain, .averagePool, attention: eca),
    Variant(
      "ecaresnext26t_32x4d", .bottleneck, [2, 2, 2, 2], tiered, .averagePool, groups: 32, width: 4,
      attention: eca),
    Variant(
      "ecaresnext50t_32x4d", .bottleneck, [3, 4, 6, 3], tiered, .averagePool, groups: 32, width: 4,
      attention: eca),
    Variant(
      "ecaresnet50d_pruned", .bottleneck, [3, 4, 6, 3], deep, .averagePool, attention: eca,
      pruned: PrunedSizes.ecaresnet50d),
    Variant(
      "ecaresnet101d_pruned", .bottleneck, [3, 4, 23, 3], deep, .averagePool, attention: eca,
      pruned: PrunedSizes.ecaresnet101d),

    // Anti-aliased: Zhang 2019, arXiv 1904.11486. Their keys and shapes are those of the plain variants
    Variant("resnetblur18", .basic, [2, 2, 2, 2], antialiasing: .blur),
    Variant("resnetblur50", .bottleneck, [3, 4, 6, 3], antialiasing: .blur),
    Variant("resnetblur50d", .bottleneck, [3, 4, 6, 3], deep, .averagePool, antialiasing: .blur),
    Variant("resnetblur101d", .bottleneck, [3, 4, 23, 3], deep, .averagePool, antialiasing: .blur),
    Variant("resnetaa34d", .basic, [3, 4, 6, 3], deep, .averagePool, antialiasing: .average),
    Variant("resnetaa50", .bottleneck, [3, 4, 6, 3], antialiasing: .average),
    Variant("resnetaa50d", .bottleneck, [3, 4, 6, 3], deep, .averagePool, antialiasing: .average),
    Variant("resnetaa101d", .bottleneck, [3, 4, 23, 3], deep, .averagePool, antialiasing: .average),
    Variant(
      "seresnetaa50d", .bottleneck, [3, 4, 6, 3], deep, .averagePool, attention: se, antialiasing: .average),
    Variant(
      "seresnextaa101d_32x8d", .bottleneck, [3, 4, 23, 3], deep, .averagePool, groups: 32, width: 8,
      attention: se, antialiasing: .average),
    Variant(
      "seresnextaa201d_32x8d", .bottleneck, [3, 24, 36, 4], wideDeep, .averagePool, groups: 32, width: 8,
      attention: se, antialiasing: .average),

    // ResNet-RS: Bello et al. 2021, arXiv 2103.07579
    Variant("resnetrs50", rs: [3, 4, 6, 3]),
    Variant("resnetrs101", rs: [3, 4, 23, 3]),
    Variant("resnetrs152", rs: [3, 8, 36, 3]),
    Variant("resnetrs200", rs: [3, 24, 36, 3]),
    Variant("resnetrs270", rs: [4, 29, 53, 4]),
    Variant("resnetrs350", rs: [4, 36, 72, 4]),
    Variant("resnetrs420", rs: [4, 44, 87, 4]),

    // timm's smallest network, for tests
    Variant("test_resnet", testResNet),

    // CIFAR: He et al. 2015, section 4.2, with 6n + 2 layers
    Variant("cifar_resnet20", cifar: 3),
    Variant("cifar_resnet32", cifar: 5),
    Variant("cifar_resnet44", cifar: 7),
    Variant("cifar_resnet56", cifar: 9),
    Variant("cifar_resnet110", cifar: 18),
    Variant("cifar_resnet1202", cifar: 200),
  ]

  private init(_ name: String, rs layers: [Int]) {
    self.init(
      name, .bottleneck, layers, Variant.deep, .averagePool, attention: Variant.strongSE,
      replacesStemPool: true)
  }

  private init(_ name: String, cifar blocks: Int) {
    var architecture = Architecture(block: .basic, layers: [blocks, blocks, blocks])
    (architecture.planes, architecture.stem, architecture.stemChannels) = ([16, 32, 64], .small, 16)
    (architecture.shortcut, architecture.classes) = (.padding, 10)
    self.init(name, architecture)
  }

  private static var senet154: Architecture {
    var architecture = Architecture(block: .bottleneck, layers: [3, 8, 36, 3])
    (architecture.stem, architecture.stemChannels) = (wideDeep, 128)
    (architecture.groups, architecture.widthPerGroup) = (64, 4)
    (architecture.shortcutKernel, architecture.firstReduction, architecture.attention) = (3, 2, se)
    return architecture
  }

  private static var testResNet: Architecture {
    var architecture = Architecture(block: .basic, layers: [1, 1, 1, 1])
    architecture.blocks[2] = .bottleneck
    (architecture.stem, architecture.stemChannels) = (.deep(16, 16), 32)
    (architecture.shortcut, architecture.planes) = (.averagePool, [32, 48, 48, 96])
    return architecture
  }
}

extension Architecture {
  /// The published variant that this is, whatever its width and classes.
  public var variant: Variant? { Variant.all.first { matches($0.architecture) } }

  /// The name of the published variant that this is, whatever its width and classes.
  public var variantName: String? { variant?.name }

  /// Whether this is `published`, but for the width, the classes, the way of pooling and what a dialect or a
  /// task changed.
  func matches(_ published: Architecture) -> Bool {
    guard layers == published.layers, planes.count == published.planes.count else { return false }
    var plain = self
    (plain.classes, plain.head, plain.stridePlacement) = (
      published.classes, published.head, published.stridePlacement
    )
    (plain.dilatedStages, plain.eps, plain.hasBiases) = ([], published.eps, published.hasBiases)
    (plain.stemStride, plain.poolsStem) = (published.stemStride, published.poolsStem)
    if plain.normalization == .folded { plain.normalization = .batch }
    if plain.planes != published.planes { plain.sizes = published.sizes }
    return plain == published.scaled(by: planes[0], over: published.planes[0])
  }

  /// The published variants that have the same keys and shapes, but not the same results.
  var lookalikes: [Variant] {
    Variant.all.filter { variant in
      var other = variant.architecture
      guard other.antialiasing != antialiasing else { return false }
      other.antialiasing = antialiasing
      return matches(other)
    }
  }
}
