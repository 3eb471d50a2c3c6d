// The network at a glance: its stages from left to right, or from top to bottom on a narrow page. A bar is a block; its
// length follows the height of the images that it gives, on a logarithmic scale.

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

struct StageDiagram {
  /// A stage, or the input.
  struct Stage {
    let name: String
    /// What it is made of, such as `3 bottleneck blocks`.
    let content: String
    /// The shape of what it gives, without the batch.
    let output: [Int]
    let blocks: Int
    let parameters: String
    /// Its part of the time, in percent; nil for the input.
    let share: Double?

    var sizeText: String { output.productText }
    var shareText: String { share.map { "\(fixed($0, 0)) % of the time" } ?? "" }
  }

  let stages: [Stage]

  /// More bars than this are not drawn one by one.
  private static let mostBars = 24

  /// Both drawings; the page shows one of them.
  var html: HTML {
    let description = stages.map { stage in
      [stage.name, stage.content, stage.sizeText, stage.shareText].filter { !$0.isEmpty }.joined(
        separator: ", ")
    }.joined(separator: "; ")
    return """
      <figure class="stages">
      <svg class="wide" viewBox="0 0 1000 264" role="img" aria-labelledby="wide-title wide-text">
      <title id="wide-title">The stages of the network</title><desc id="wide-text">\(description)</desc>
      \(wide)</svg>
      <svg class="narrow" viewBox="0 0 320 \(stages.count * 92)" role="img" aria-labelledby="narrow-title narrow-text">
      <title id="narrow-title">The stages of the network</title><desc id="narrow-text">\(description)</desc>
      \(narrow)</svg>
      <figcaption>Shapes are channels × height × width for one image. Each bar is a block; the longer it is, the \
      larger the feature maps.</figcaption>
      </figure>
      """
  }

  /// How long the bars of a stage are, from 0 to 1.
  private func extent(_ stage: Stage) -> Double {
    let sizes = stages.map { $0.output.count == 3 ? Double(max(1, $0.output[1])) : 1 }
    let largest = log2(sizes.max() ?? 1) + 1
    let size = stage.output.count == 3 ? Double(max(1, stage.output[1])) : 1
    return max(0.06, (log2(size) + 1) / largest)
  }

  /// Where the bars of a stage begin in a room of `width`, and how thick they are.
  private func bars(_ stage: Stage, in width: Double) -> [(start: Double, thickness: Double)] {
    let count = min(max(1, stage.blocks), StageDiagram.mostBars)
    let pitch = min(18, width / Double(count))
    let thickness = pitch * 0.72
    let start = (width - pitch * Double(count) + pitch - thickness) / 2
    return (0..<count).map { (start + Double($0) * pitch, thickness) }
  }

  private var wide: [HTML] {
    let (slot, room, middle) = (1000 / Double(max(1, stages.count)), 130.0, 75.0)
    return stages.enumerated().map { place, stage in
      let left = Double(place) * slot
      let length = extent(stage) * room
      let drawn: [HTML] = bars(stage, in: slot - 28).map { bar in
        """
        <rect x="\(left + 14 + bar.start)" y="\(middle - length / 2)" width="\(bar.thickness)" height="\(length)" rx="2"/>
        """
      }
      let center = left + slot / 2
      let arrow: HTML =
        place == 0 ? "" : "<path class=\"flow\" d=\"M\(left - 7) \(middle)h12m-4-4l4 4l-4 4\"/>"
      return """
        <g>\(arrow)\(drawn)
        <text class="name" x="\(center)" y="168">\(stage.name)</text>
        <text x="\(center)" y="188">\(stage.content)</text>
        <text x="\(center)" y="208">\(stage.sizeText)</text>
        <text class="muted" x="\(center)" y="228">\(stage.parameters)</text>
        <text class="muted" x="\(center)" y="248">\(stage.shareText)</text></g>

        """
    }
  }

  private var narrow: [HTML] {
    let (slot, room, middle) = (92.0, 78.0, 270.0)
    return stages.enumerated().map { place, stage in
      let top = Double(place) * slot
      let length = extent(stage) * room
      let drawn: [HTML] = bars(stage, in: slot - 28).map { bar in
        """
        <rect x="\(middle - length / 2)" y="\(top + 14 + bar.start)" width="\(length)" height="\(bar.thickness)" rx="2"/>
        """
      }
      let arrow: HTML =
        place == 0 ? "" : "<path class=\"flow\" d=\"M\(middle) \(top - 7)v12m-4-4l4 4l4-4\"/>"
      return """
        <g>\(arrow)\(drawn)
        <text class="name" x="0" y="\(top + 22)">\(stage.name)</text>
        <text x="0" y="\(top + 40)">\(stage.content)</text>
        <text x="0" y="\(top + 57)">\(stage.sizeText)</text>
        <text class="muted" x="0" y="\(top + 74)">\(stage.parameters)\(stage.share == nil ? "" : ", ")\(stage.shareText)</text></g>

        """
    }
  }
}
