// Which way a convolution is computed: all ways, where each can be used, and what each costs.

import NN
import Vectors

/// A way to compute a convolution.
package enum ConvolutionAlgorithm: String, Sendable, CaseIterable {
  /// One matrix product on the input as it lies: ``DirectConvolution``.
  case direct
  /// Seven matrix products in place of eight: ``StrassenConvolution``.
  case strassen
  /// Matrix products on blocks of a matrix that is made from the input: ``Im2colConvolution``.
  case im2col
  /// Matrix products on the input as it lies, but for its padding: ``ImplicitConvolution``.
  case implicit
  /// Each channel by itself: ``DepthwiseConvolution``.
  case depthwise
  /// F(2×2, 3×3): ``WinogradConvolution`` with tiles of 2 × 2 outputs.
  case winograd2
  /// F(4×4, 3×3): ``WinogradConvolution`` with tiles of 4 × 4 outputs.
  case winograd4
  /// F(2×2, 3×3) of stride 2: ``WinogradConvolution`` with tiles of 2 × 2 outputs.
  case winogradStrided2
  /// F(3×3, 4×4) of the four phases of a window of stride 2, such as 7 × 7: ``PhaseConvolution``.
  case winograd3

  /// Matrices that are made of a filter, and multiplied one after the other.
  var filterPoints: Int { self == .strassen ? StrassenMatrix.allCases.count : tile?.filterPoints ?? 1 }

  /// Into how many parts the channels are cut on either side.
  var channelParts: Int { self == .strassen ? 2 : 1 }

  /// Channels that it makes of one.
  private var phases: Int { self == .winograd3 ? PhaseConvolution.phases : 1 }

  /// Whether it trades accuracy for speed.
  private var isLessExact: Bool { self == .winograd4 || self == .winograd3 || self == .strassen }

  /// How the weights of a group lie, or those of an element of Winograd's transform, or one of Strassen's matrices; those of
  /// the phases lie as ``PhaseTiles`` take them instead.
  ///
  /// - Parameters:
  ///   - inputs: of the group, like the outputs.
  ///   - taps: of the window.
  func layout(_ engine: MatrixEngine, inputs: Int, outputs: Int, taps: Int) -> WeightLayout {
    WeightLayout(
      engine, depth: inputs / channelParts * (tile == nil ? taps : 1), columns: outputs / channelParts)
  }

  /// The tiles of Winograd's algorithms.
  var tile: WinogradTile? {
    switch self {
    case .direct, .strassen, .im2col, .implicit, .depthwise: nil
    case .winograd2: .f2
    case .winograd4: .f4
    case .winogradStrided2: .strided2
    case .winograd3: .f3
    }
  }

  /// Whether a layer can be computed this way.
  func applies(to convolution: Convolution, _ engine: MatrixEngine) -> Bool {
    let window = convolution.window
    return switch self {
    case .direct: window.kernel == 1 && window.stride == 1 && window.padding == 0
    case .strassen:
      engine == .native && convolution.groups == 1 && window.kernel == 1
        && convolution.inChannels.isMultiple(of: 2)
        && convolution.outChannels.isMultiple(of: 2 * VectorKernels.chosen.panelColumns)
    case .im2col: true
    case .implicit:
      engine == .native && convolution.groups == 1 && window.dilation == 1
        && window.kernel * window.kernel * convolution.inChannels * convolution.outChannels
          <= ConvolutionAlgorithm.mostWeightsInCache
    case .depthwise: convolution.groups == convolution.inChannels
    case .winograd2, .winograd4, .winogradStrided2:
      window.kernel == 3 && window.stride == tile?.stride && window.dilation == 1
    case .winograd3:
      engine == .native && convolution.groups == 1 && (window.kernel + 1) / 2 == WinogradF3.taps
        && window.stride == 2 && window.dilation == 1
        && convolution.inChannels * phases <= PhaseKernel.lanes
        && convolution.outChannels.isMultiple(of: PhaseKernel.lanes)
    }
  }

  /// The cheapest way for a layer.
  ///
  /// - Parameters:
  ///   - groups: as they are multiplied: ``NN/Convolution/groups(_:)``.
  ///   - images: how many the step computes at once.
  static func choice(
    for convolution: Convolution, _ geometry: ConvolutionGeometry, groups: Int, images: Int,
    _ options: PlanOptions
  ) -> ConvolutionAlgorithm {
    func cost(_ algorithm: ConvolutionAlgorithm) -> Double {
      algorithm.cost(
        geometry, groups: groups, images: images, threads: options.threads)
    }
    return
      allCases
      .filter {
        $0.applies(to: convolution, options.engine) && (!$0.isLessExact || options.accuracy == .standard)
          && ($0 != .strassen || !options.hasBFloat16)
      }
      .min { cost($0) < cost($1) } ?? .im2col
  }

  /// What a layer costs a thread, in multiplications of a matrix product that runs at full speed.
  ///
  /// A product of `rows` × `depth` with `depth` × `columns` costs `rows · depth · columns`, divided among
  /// the threads. The weights come from memory meanwhile, which all threads share, in the time that ``rowsOfWeights``
  /// rows would take: the longer of the two counts, and where they are about as long, they hold each other up.
  /// That is why F(4×4) loses at 7 × 7 pixels and batch 1: it has only 4 tiles for each of its 36 matrices. What is
  /// copied or transformed costs ``productsOfACopy`` an element, which is why layers of few channels gain less from
  /// Winograd.
  private func cost(_ geometry: ConvolutionGeometry, groups: Int, images: Int, threads: Int) -> Double {
    let (inputs, outputs) = (geometry.inChannels * phases, geometry.outChannels)
    let pixels = images * geometry.outPixels
    if self == .depthwise {
      let repeated =
        outputs > inputs ? images * geometry.outHeight * geometry.kernel * geometry.inWidth * outputs : 0
      let products = ConvolutionAlgorithm.productsOfADepthwiseOne * Double(geometry.taps * pixels * outputs)
      return (products + ConvolutionAlgorithm.productsOfACopy * Double(repeated)) / Double(threads)
    }
    var (products, filterPoints, rows) = (geometry.taps, geometry.taps, pixels)
    var copied = self == .direct ? 0 : geometry.taps * pixels * inputs
    if self == .implicit {
      // Every output row has tiles of its own.
      rows = images * geometry.outHeight * max(geometry.outWidth, VectorKernels.chosen.tileRows)
      copied = ImplicitConvolution.scratchCount(geometry, images: images)
    }
    if self == .strassen {
      (products, filterPoints, rows) = (self.filterPoints, self.filterPoints, (pixels + 1) / 2)
      copied = pixels * (inputs + outputs) + (geometry.isPointwise ? 0 : pixels * inputs)
    }
    if let tile {
      (products, filterPoints) = (tile.points, tile.filterPoints)
      rows = images * tile.across(geometry.outHeight) * tile.across(geometry.outWidth)
      copied = products * rows * (inputs + outputs)
    }
    let rowsOfThread = Double(products * rows) / Double(threads)
    let rowsOfWeights = ConvolutionAlgorithm.rowsOfWeights * Double(filterPoints)
    let squares = (rowsOfThread * rowsOfThread, rowsOfWeights * rowsOfWeights)
    let rowsOfBoth = (squares.0 * squares.0 + squares.1 * squares.1).squareRoot().squareRoot()
    let multiplied = Double(inputs * outputs / groups / (channelParts * channelParts)) * rowsOfBoth
    let cost = multiplied + ConvolutionAlgorithm.productsOfACopy * Double(copied) / Double(threads)
    return switch self {
    case .winograd4: cost * ConvolutionAlgorithm.handicap
    case .winograd3:
      cost * ConvolutionAlgorithm.handicap
        * (VectorKernels.chosen.width < PhaseKernel.lanes ? ConvolutionAlgorithm.handicapOfFewRegisters : 1)
    case .strassen: cost * ConvolutionAlgorithm.handicapOfStrassen
    default: cost
    }
  }

  /// Floats that stay in a core's second cache beside what is multiplied by them.
  private static let mostWeightsInCache = 48 * 1024
  /// Bringing the weights takes as long as multiplying about so many rows by them. Measured: 9 on Zen 4, 12 on Zen 5.
  private static let rowsOfWeights = 12.0
  /// Measured: an element takes about as long to be transformed as so many multiplications.
  private static let productsOfACopy = 6.0
  /// Measured on Zen 3 in MobileNetV2: without a matrix a multiplication takes a load of its own, and as long as
  /// so many in a product.
  private static let productsOfADepthwiseOne = 4.0
  /// F(4×4) and F(3×3) are less exact and their weights take more memory, so they have to be better by a tenth.
  private static let handicap = 1.1
  /// With 16 registers the phases take as long as the definition has it: 2.2 and 2.1 ms for ResNet-50's first layer.
  private static let handicapOfFewRegisters = 2.0
  /// Strassen's weights take 7/4 of the memory, so it has to be better by more than measurements differ in.
  private static let handicapOfStrassen = 1.06
}

/// How exact a model's arithmetic is.
public enum Accuracy: Sendable {
  /// Every algorithm: the largest error of a ResNet's logits stays below 1.5e-5 of the largest logit.
  case standard
  /// Without Winograd's F(4×4, 3×3), whose error is about twice that of the others, without F(3×3, 4×4), with which the first
  /// layer's is about three times that of the definition, and without Strassen's products.
  case strict
}
