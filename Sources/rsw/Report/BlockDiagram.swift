// The inside of a residual block, as the graph has it: the layers of its branch from top to bottom, the shortcut beside
// them, and the sum of both.

import NN

struct BlockDiagram {
  /// A layer, with what follows it at once: normalisation and ReLU.
  private struct Box {
    var names: String
    var detail: String
    let shape: [Int]
  }

  private let path: String
  private let branch: [Box]
  private let shortcut: [Box]
  private let input: [Int], output: [Int]

  /// - Parameters:
  ///   - path: the block's, such as `layer1.0`.
  ///   - shapes: of the graph's nodes, without the batch.
  init?(_ path: String, of graph: Graph, shapes: [[Int]]) {
    let inside = graph.nodes.indices.filter {
      graph.nodes[$0].module == path || graph.nodes[$0].module.hasPrefix(path + ".")
    }
    guard let first = inside.first, let last = inside.last, let start = graph.nodes[first].inputs.first,
      let sum = inside.last(where: { graph.nodes[$0].operation == .add }), graph.nodes[sum].inputs.count == 2
    else { return nil }
    self.path = path
    (input, output) = (shapes[start], shapes[last])
    let sides = graph.nodes[sum].inputs.map { end in
      BlockDiagram.boxes(to: end, from: start, graph, shapes, prefix: path + ".")
    }
    (branch, shortcut) = (sides[0], sides[1])
  }

  /// What two blocks that look alike have in common.
  var signature: String {
    (branch + [Box(names: "+", detail: "", shape: output)] + shortcut).map {
      "\($0.names) \($0.detail) \($0.shape)"
    }.joined(separator: "\n") + "\(input)"
  }

  private static func boxes(
    to end: Int, from start: Int, _ graph: Graph, _ shapes: [[Int]], prefix: String
  ) -> [Box] {
    var chain: [Int] = []
    var node = end
    while node > start {
      chain.append(node)
      guard let previous = graph.nodes[node].inputs.first else { break }
      node = previous
    }
    var boxes: [Box] = []
    for node in chain.reversed() {
      let operation = graph.nodes[node].operation
      let name = graph.nodes[node].module.droppingPrefix(prefix) ?? ""
      switch operation {
      case .relu where !boxes.isEmpty: boxes[boxes.count - 1].names += " · ReLU"
      case .batchNorm2d where !boxes.isEmpty, .groupNorm where !boxes.isEmpty:
        boxes[boxes.count - 1].names +=
          " · \(BlockDiagram.shortened(name, after: boxes[boxes.count - 1].names))"
      case .multiply:
        boxes.append(Box(names: "× \(name)", detail: "a gate for each channel", shape: shapes[node]))
      default:
        boxes.append(
          Box(
            names: name.isEmpty ? operation.kind : name, detail: name.isEmpty ? "" : operation.kind,
            shape: shapes[node]))
      }
    }
    return boxes
  }

  /// `1` for `downsample.1` after `downsample.0`.
  private static func shortened(_ name: String, after other: String) -> String {
    let parent = other.split(separator: ".").dropLast().joined(separator: ".")
    return parent.isEmpty ? name : name.droppingPrefix(parent + ".") ?? name
  }

  private static let boxHeight = 62.0, pitch = 80.0, width = 186.0

  var svg: HTML {
    let rows = max(branch.count, shortcut.count)
    let bottom = 34 + BlockDiagram.pitch * Double(rows)
    let (left, right) = (105.0, 305.0)
    let height = bottom + 62
    let side: [HTML] =
      shortcut.isEmpty
      ? [
        "<path class=\"flow\" d=\"M\(left) 24h\(right - left)v\(bottom - 24 + 14)h\(14 + left - right)m4-4l-4 4l4 4\"/>",
        "<text class=\"muted end\" x=\"\(right - 8)\" y=\"\(bottom / 2 + 12)\">as it is</text>",
      ]
      : [
        "<path class=\"flow\" d=\"M\(left) 24h\(right - left)v10\"/>", column(shortcut, at: right),
        "<path class=\"flow\" d=\"M\(right) \(34 + BlockDiagram.pitch * Double(shortcut.count) - 18)V\(bottom + 14)h\(14 + left - right)m4-4l-4 4l4 4\"/>",
      ]
    return """
      <svg class="block" viewBox="0 0 400 \(height)" role="img"><title>\(path): \(words)</title>
      <text class="muted" x="\(left)" y="12">\(input.productText)</text>
      <path class="flow" d="M\(left) 18v16"/>\(column(branch, at: left))
      <path class="flow" d="M\(left) \(34 + BlockDiagram.pitch * Double(branch.count) - 18)V\(bottom + 2)m-4-4l4 4l4-4"/>\(side)
      <circle cx="\(left)" cy="\(bottom + 14)" r="11"/><path class="plus" d="M\(left - 5) \(bottom + 14)h10m-5-5v10"/>
      <text x="\(left)" y="\(bottom + 44)">ReLU → \(output.productText)</text></svg>
      """
  }

  private var words: String {
    func list(_ boxes: [Box]) -> String { boxes.map { "\($0.names) (\($0.detail))" }.joined(separator: ", ") }
    return list(branch) + (shortcut.isEmpty ? "; the input is added" : "; added to it: \(list(shortcut))")
  }

  private func column(_ boxes: [Box], at center: Double) -> HTML {
    let drawn: [HTML] = boxes.enumerated().map { place, box in
      let top = 34 + BlockDiagram.pitch * Double(place)
      let arrow: HTML =
        place == 0 ? "" : "<path class=\"flow\" d=\"M\(center) \(top - 18)v16m-4-4l4 4l4-4\"/>"
      return """
        \(arrow)<rect x="\(center - BlockDiagram.width / 2)" y="\(top)" width="\(BlockDiagram.width)" height="\(BlockDiagram.boxHeight)" rx="5"/>
        <text class="name" x="\(center)" y="\(top + 19)">\(box.names)</text>
        <text x="\(center)" y="\(top + 36)">\(box.detail)</text>
        <text class="muted" x="\(center)" y="\(top + 53)">\(box.shape.productText)</text>

        """
    }
    return "\(drawn)"
  }
}
