// What an image makes of each stage of the network: the strongest channels as heat maps.

import Checkpoints
import NN
import ResNets

struct ActivationPictures {
  private struct Channel {
    let number: Int
    let mean: Double
    let largest: Float
    let picture: PNG
  }

  private struct Stage {
    let name: String
    let shape: [Int]
    let channels: [Channel]
  }

  private let stages: [Stage]

  /// How many channels of each stage are drawn.
  private static let channelCount = 16
  /// The longest side of a picture.
  private static let mostPixels = 56

  /// Runs the network and looks at what the stem and each stage give.
  init(_ network: ResNet, _ image: Tensor) throws {
    let paths = ["maxpool"] + network.architecture.layers.indices.map { "layer\($0 + 1)" }
    let outputs = try network.outputs(image, at: paths)
    stages = try zip(paths, outputs).map { path, output in
      Stage(
        name: path == "maxpool" ? "stem" : path, shape: Array(output.shape.dropFirst()),
        channels: try ActivationPictures.strongest(output))
    }
  }

  /// The channels with the largest means, largest first.
  private static func strongest(_ output: Tensor) throws(CheckpointError) -> [Channel] {
    let (channels, height, width) = (output.shape[1], output.shape[2], output.shape[3])
    let area = height * width
    let values = try output.floats()
    let means = (0..<channels).map { channel in
      values[channel * area..<(channel + 1) * area].reduce(0) { $0 + Double($1) } / Double(max(1, area))
    }
    // What is no number comes last.
    func rank(_ channel: Int) -> Double { means[channel].isNaN ? -.infinity : means[channel] }
    return means.indices.sorted { (rank($0), $1) > (rank($1), $0) }.prefix(channelCount).map { channel in
      let map = FeatureMap(values[channel * area..<(channel + 1) * area], height, width)
      let largest = map.values.reduce(0) { $1.isFinite ? max($0, $1) : $0 }
      return Channel(
        number: channel, mean: means[channel], largest: largest,
        picture: HeatMap.picture(map.reduced(to: mostPixels), largest: largest))
    }
  }

  var html: HTML {
    let parts: [HTML] = stages.map { stage in
      let tiles: [HTML] = stage.channels.map { channel in
        """
        <li><img class="pixels" alt="channel \(channel.number): mean \(general(channel.mean, 3)), at most \(general(Double(channel.largest), 3))" \
        width="\(channel.picture.width)" height="\(channel.picture.height)" src="\(channel.picture.dataAddress)">\
        <span>\(channel.number)</span></li>
        """
      }
      return
        "<h3>\(stage.name) <small>\(stage.shape.productText)</small></h3><ol class=\"tiles\">\(tiles)</ol>"
    }
    return """
      <section id="activations" aria-labelledby="activations-title"><h2 id="activations-title">Activations</h2>
      <p>The \(ActivationPictures.channelCount) channels of each stage that this image excites most on average, with their \
      numbers. Each map runs from 0 (dark) to its own largest value (bright).</p>
      \(parts)</section>
      """
  }
}

/// Numbers from 0 on as colours whose lightness grows with them, so that they can be told apart in grey too.
enum HeatMap {
  static func picture(_ map: FeatureMap, largest: Float) -> PNG {
    let pixels = map.values.map { value -> UInt8 in
      guard value.isFinite, largest > 0 else { return 0 }
      return UInt8(
        max(0, min(Float(palette.count - 1), (value / largest * Float(palette.count - 1)).rounded())))
    }
    return PNG(width: map.width, height: map.height, colors: .palette(palette), pixels: pixels)
  }

  /// From dark blue over violet and orange to light yellow.
  private static let anchors: [(Double, Double, Double)] = [
    (10, 10, 35), (60, 15, 110), (135, 35, 120), (200, 60, 85), (245, 120, 40), (252, 190, 60),
    (252, 250, 190),
  ]

  private static let palette: [PNG.RGB] = (0..<64).map { step in
    let place = Double(step) / 63 * Double(anchors.count - 1)
    let index = min(anchors.count - 2, Int(place))
    let part = place - Double(index)
    let (a, b) = (anchors[index], anchors[index + 1])
    func mixed(_ a: Double, _ b: Double) -> UInt8 { UInt8((a + (b - a) * part).rounded()) }
    return PNG.RGB(red: mixed(a.0, b.0), green: mixed(a.1, b.1), blue: mixed(a.2, b.2))
  }
}
