// The filters of the first layer as pictures: what its channels look for in red, green and blue.

import Checkpoints
import NN
import ResNets

struct FilterPictures {
  /// The layer's path.
  let layer: String
  let kernel: Int
  let count: Int
  /// The largest magnitude of all filters, which is drawn as the brightest or darkest colour.
  let largest: Float
  let pictures: [PNG]

  /// More filters than this are not drawn.
  private static let most = 256

  /// Nil when the network does not begin with a convolution of three channels.
  init?(_ network: ResNet) throws(CheckpointError) {
    let first = network.graph.nodes.first { if case .conv2d = $0.operation { true } else { false } }
    guard let first, case .conv2d(let convolution) = first.operation, convolution.inChannels == 3,
      convolution.groups == 1, let tensor = network.stateDict[convolution.weight]
    else { return nil }
    let values: [Float]
    do throws(CheckpointError) {
      values = try tensor.dense().floats()
    } catch {
      throw error.forTensor(convolution.weight)
    }
    layer = first.module
    kernel = convolution.window.kernel
    count = convolution.outChannels
    let largest = values.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 }
    self.largest = largest
    let (side, area) = (kernel, kernel * kernel)
    guard values.count == count * 3 * area else { return nil }
    pictures = (0..<min(count, FilterPictures.most)).map { filter in
      let pixels = (0..<area).flatMap { pixel in
        (0..<3).map { color in
          FilterPictures.level(values[(filter * 3 + color) * area + pixel], largest)
        }
      }
      return PNG(width: side, height: side, colors: .rgb, pixels: pixels)
    }
  }

  /// Zero is grey.
  private static func level(_ value: Float, _ largest: Float) -> UInt8 {
    guard value.isFinite, largest > 0 else { return 128 }
    return UInt8(max(0, min(255, (127.5 + 127.5 * (value / largest)).rounded())))
  }

  var html: HTML {
    let tiles: [HTML] = pictures.enumerated().map { filter, picture in
      "<li><img class=\"pixels\" alt=\"filter \(filter)\" width=\"\(kernel)\" height=\"\(kernel)\" src=\"\(picture.dataAddress)\"></li>"
    }
    let rest = count > pictures.count ? " The first \(pictures.count) of \(grouped(count)) are shown." : ""
    return """
      <section id="filters" aria-labelledby="filters-title"><h2 id="filters-title">First-layer filters</h2>
      <p>The \(count) filters of <code>\(layer)</code>, \(kernel) × \(kernel) pixels of red, green and blue, on one scale \
      for all: grey is 0, the extremes are ±\(general(Double(largest), 3)).\(rest)</p>
      <ol class="tiles filters">\(tiles)</ol></section>
      """
  }
}
