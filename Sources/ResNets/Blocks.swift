// The residual blocks, and what they and the stem are made of. Every choice that an architecture leaves
// open is made in `Parts`, so that a block reads as in its paper.

import NN

/// Where a block stands in its network.
struct BlockShape {
  let inPlanes: Int
  /// Counted from 0.
  let stage: Int
  let stride: Int
  let dilation: Int
  /// The dilation of the block's convolution that would have the stride: that of the stage before.
  let firstDilation: Int
  /// Whether it begins a stage.
  let isFirst: Bool
}

/// A block, whose output channels the next one needs.
protocol ResidualBlock: Module {
  var outPlanes: Int { get }
}

/// Two 3×3 convolutions and a shortcut around them.
struct BasicBlock: ResidualBlock {
  let path: String
  let outPlanes: Int
  let conv1: Conv2d, bn1: any Module, aa: any Module
  let conv2: Conv2d, bn2: any Module, se: any Module
  let downsample: (any Module)?

  init(_ scope: Scope, _ shape: BlockShape, _ parts: Parts) {
    path = scope.path
    let planes = parts.architecture.planes[shape.stage]
    let middle = parts.channels(scope["conv1"], planes / parts.architecture.firstReduction)
    outPlanes = parts.channels(scope["conv2"], planes)
    let hasAntialiasing = parts.hasAntialiasing(shape)
    conv1 = parts.conv3x3(
      scope["conv1"], shape.inPlanes, middle, stride: hasAntialiasing ? 1 : shape.stride,
      dilation: shape.firstDilation)
    bn1 = parts.norm(scope["bn1"], middle)
    aa = hasAntialiasing ? parts.antialiasing(scope["aa"], stride: shape.stride) : Identity(scope["aa"])
    conv2 = parts.conv3x3(scope["conv2"], middle, outPlanes, dilation: shape.dilation)
    bn2 = parts.norm(scope["bn2"], outPlanes)
    se = parts.attention(scope["se"], outPlanes, planes: planes)
    downsample = parts.downsample(scope["downsample"], shape, outPlanes)
  }

  func forward(_ x: Value) -> Value {
    var out = aa(relu(bn1(conv1(x))))
    out = se(bn2(conv2(out)))
    return relu(out + (downsample?(x) ?? x))
  }
}

/// 1×1 to fewer channels, 3×3 perhaps in groups, 1×1 to four times the planes, and a shortcut around them.
struct Bottleneck: ResidualBlock {
  let path: String
  let outPlanes: Int
  let conv1: Conv2d, bn1: any Module
  let conv2: Conv2d, bn2: any Module, aa: any Module
  let conv3: Conv2d, bn3: any Module, se: any Module
  let downsample: (any Module)?

  init(_ scope: Scope, _ shape: BlockShape, _ parts: Parts) {
    path = scope.path
    let architecture = parts.architecture
    let width = parts.channels(scope["conv2"], architecture.width(stage: shape.stage))
    let first = parts.channels(
      scope["conv1"], architecture.width(stage: shape.stage) / architecture.firstReduction)
    let planes = architecture.outChannels(stage: shape.stage)
    outPlanes = parts.channels(scope["conv3"], planes)
    let hasAntialiasing = parts.hasAntialiasing(shape)
    let stride = hasAntialiasing ? 1 : shape.stride
    let (firstStride, secondStride) = architecture.stridePlacement == .first ? (stride, 1) : (1, stride)
    conv1 = Conv2d(
      scope["conv1"], shape.inPlanes, first, kernel: 1, stride: firstStride,
      bias: architecture.convolutionsHaveBiases)
    bn1 = parts.norm(scope["bn1"], first)
    conv2 = parts.conv3x3(
      scope["conv2"], first, width, stride: secondStride, dilation: shape.firstDilation,
      groups: architecture.groups)
    bn2 = parts.norm(scope["bn2"], width)
    aa = hasAntialiasing ? parts.antialiasing(scope["aa"], stride: shape.stride) : Identity(scope["aa"])
    conv3 = Conv2d(scope["conv3"], width, outPlanes, kernel: 1, bias: architecture.convolutionsHaveBiases)
    bn3 = parts.norm(scope["bn3"], outPlanes)
    se = parts.attention(scope["se"], outPlanes, planes: planes)
    downsample = parts.downsample(scope["downsample"], shape, outPlanes)
  }

  func forward(_ x: Value) -> Value {
    var out = relu(bn1(conv1(x)))
    out = aa(relu(bn2(conv2(out))))
    out = se(bn3(conv3(out)))
    return relu(out + (downsample?(x) ?? x))
  }
}

/// The layers of an architecture.
struct Parts {
  let architecture: Architecture

  init(_ architecture: Architecture) { self.architecture = architecture }

  /// Output channels of the convolution at `scope`: those that the rule gives, or what pruning left of them.
  func channels(_ scope: Scope, _ rule: Int) -> Int { architecture.sizes[scope.path] ?? rule }

  func block(_ scope: Scope, _ shape: BlockShape) -> any ResidualBlock {
    switch architecture.blocks[shape.stage] {
    case .basic: BasicBlock(scope, shape, self)
    case .bottleneck: Bottleneck(scope, shape, self)
    }
  }

  /// A 3×3 convolution that keeps the size but for its stride.
  func conv3x3(
    _ scope: Scope, _ inPlanes: Int, _ outPlanes: Int, stride: Int = 1, dilation: Int = 1, groups: Int = 1
  ) -> Conv2d {
    Conv2d(
      scope, inPlanes, outPlanes, kernel: 3, stride: stride, padding: dilation, dilation: dilation,
      groups: groups, bias: architecture.convolutionsHaveBiases)
  }

  func norm(_ scope: Scope, _ channels: Int) -> any Module {
    switch architecture.normalization {
    case .batch: BatchNorm2d(scope, channels, eps: architecture.eps)
    case .group(let groups): GroupNorm(scope, channels, groups: groups, eps: architecture.eps)
    case .folded: Identity(scope)
    }
  }

  // MARK: The stem

  func stem(_ scope: Scope, _ outChannels: Int) -> any Module {
    let stride = architecture.stemStride ?? (architecture.stem == .small ? 1 : 2)
    switch architecture.stem {
    case .plain:
      return Conv2d(
        scope, 3, outChannels, kernel: 7, stride: stride, padding: 3,
        bias: architecture.convolutionsHaveBiases)
    case .small: return conv3x3(scope, 3, outChannels, stride: stride)
    case .deep(let first, let second):
      let (first, second) = (channels(scope[0], first), channels(scope[3], second))
      let last = channels(scope[6], outChannels)
      return Sequential(
        scope,
        [
          { conv3x3($0, 3, first, stride: stride) }, { norm($0, first) }, { ReLU($0) },
          { conv3x3($0, first, second) }, { norm($0, second) }, { ReLU($0) },
          { conv3x3($0, second, last) },
        ])
    }
  }

  func stemPool(_ scope: Scope, _ channels: Int) -> any Module {
    if !(architecture.poolsStem ?? (architecture.stem != .small)) { return Identity(scope) }
    let hasAntialiasing = architecture.antialiasing != .none
    if architecture.replacesStemPool {
      var modules: [(Scope) -> any Module] = [
        { conv3x3($0, channels, channels, stride: hasAntialiasing ? 1 : 2) }
      ]
      if hasAntialiasing { modules.append { antialiasing($0, stride: 2) } }
      return Sequential(scope, modules + [{ norm($0, channels) }, { ReLU($0) }])
    }
    switch architecture.antialiasing {
    case .none:
      return architecture.stemPooling == .padded
        ? MaxPool2d(scope, kernel: 3, stride: 2, padding: 1)
        : MaxPool2d(scope, kernel: 3, stride: 2, ceilMode: true)
    case .average: return antialiasing(scope, stride: 2)
    case .blur:
      return Sequential(
        scope, [{ MaxPool2d($0, kernel: 3, stride: 1, padding: 1) }, { antialiasing($0, stride: 2) }])
    }
  }

  // MARK: What a block may have

  /// Whether a block's stride is taken after a filter and not by its convolution.
  func hasAntialiasing(_ shape: BlockShape) -> Bool {
    architecture.antialiasing != .none && shape.stride == 2
  }

  func antialiasing(_ scope: Scope, stride: Int) -> any Module {
    architecture.antialiasing == .blur
      ? BlurPool2d(scope, stride: stride) : AvgPool2d(scope, kernel: stride, stride: stride)
  }

  /// - Parameter planes: the channels before any pruning.
  func attention(_ scope: Scope, _ channels: Int, planes: Int) -> any Module {
    switch architecture.attention {
    case .none: return Identity(scope)
    case .squeezeExcitation(let reduction):
      let reduced = architecture.sizes[scope["fc1"].path] ?? Parts.reduced(channels, by: reduction)
      return SqueezeExcitation(scope, channels, reduced: reduced)
    case .efficientChannel:
      let kernel = architecture.sizes[scope["conv"].path] ?? Parts.attentionKernel(planes)
      return EfficientChannelAttention(scope, kernel: kernel)
    }
  }

  /// The inner channels of a squeeze and excitation: a multiple of 8, not less than 8, as timm has it.
  static func reduced(_ channels: Int, by reduction: Int) -> Int {
    max(8, (channels / reduction + 4) / 8 * 8)
  }

  /// The kernel of an efficient channel attention: the odd number next to (log₂ channels + 1) / 2, at least 3.
  static func attentionKernel(_ channels: Int) -> Int {
    // The logarithm rounded down: whatever lies between makes no difference after the division.
    let half = (Int.bitWidth - 1 - max(1, channels).leadingZeroBitCount + 1) / 2
    return max(3, half.isMultiple(of: 2) ? half + 1 : half)
  }

  /// The shortcut of a block that changes size or channels; nil where the input itself is added.
  func downsample(_ scope: Scope, _ shape: BlockShape, _ outPlanes: Int) -> (any Module)? {
    let stage = shape.stage
    let isNeeded =
      stage > 0 && !architecture.dilatedStages.contains(stage + 1)
      || shape.inPlanes != architecture.outChannels(stage: stage)
    guard shape.isFirst, isNeeded else { return nil }
    let stride = shape.stride
    switch architecture.shortcut {
    case .padding:
      return PaddedShortcut(scope, stride: stride, inChannels: shape.inPlanes, outChannels: outPlanes)
    case .convolution:
      let kernel = stride == 1 && shape.dilation == 1 ? 1 : architecture.shortcutKernel
      let dilation = kernel > 1 ? shape.firstDilation : 1
      return Sequential(
        scope,
        [
          {
            Conv2d(
              $0, shape.inPlanes, outPlanes, kernel: kernel, stride: stride,
              padding: (stride - 1 + dilation * (kernel - 1)) / 2, dilation: dilation,
              bias: architecture.convolutionsHaveBiases)
          }, { norm($0, outPlanes) },
        ])
    case .averagePool:
      return Sequential(
        scope,
        [
          { shortcutPool($0, shape) },
          { Conv2d($0, shape.inPlanes, outPlanes, kernel: 1, bias: architecture.convolutionsHaveBiases) },
          { norm($0, outPlanes) },
        ])
    }
  }

  private func shortcutPool(_ scope: Scope, _ shape: BlockShape) -> any Module {
    if shape.stride == 1, shape.dilation == 1 { return Identity(scope) }
    return shape.dilation == 1
      ? AvgPool2d(scope, kernel: 2, stride: shape.stride, ceilMode: true, countIncludePad: false)
      : AvgPool2dSame(scope, kernel: 2, stride: 1)
  }
}
