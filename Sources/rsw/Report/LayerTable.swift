// The table of all layers: what each costs, and what its weights are like.

import NN

struct LayerTable {
  let layers: NetworkLayers
  let weights: [LayerWeights]
  /// Height and width of the image that was measured.
  let size: [Int]

  private var unit: ArithmeticUnit { ArithmeticUnit(for: layers.operationCount) }

  var html: HTML {
    let bodies: [HTML] = layers.stages.map { stage in
      let places = layers.layers.indices.filter { layers.layers[$0].stage == stage }
      return "<tbody>\(heading(stage, places))\(places.map(row))</tbody>\n"
    }
    return """
      <section id="layers" aria-labelledby="layers-title"><h2 id="layers-title">Layers</h2>
      <p>\(unit.name) are \(unit.words) of multiplications and additions for one image of \(size.productText) pixels. Times are medians; \
      what is computed together with a layer before it names that one. A dead channel is the same for every image.</p>
      <div class="scroll" tabindex="0" role="region" aria-labelledby="layers-title">
      <table class="layers named"><caption>All \(layers.layers.count) layers, in the order of the network</caption>
      <thead><tr><th scope="col">Layer</th><th scope="col">Output</th><th scope="col" class="n">Parameters</th>\
      <th scope="col" class="n">\(unit.name)</th><th scope="col" class="n">ms</th><th scope="col">Weights</th>\
      <th scope="col" class="n">Zeros</th><th scope="col" class="n">Dead</th></tr></thead>
      \(bodies)</table></div></section>

      """
  }

  private func heading(_ stage: String, _ places: [Int]) -> HTML {
    let members = places.map { layers.layers[$0] }
    let parameters = members.reduce(0) { $0 + $1.parameterCount }
    let operations = members.reduce(0) { $0 + $1.operationCount }
    let time = members.reduce(0) { $0 + ($1.milliseconds ?? 0) }
    return """
      <tr class="stage"><th scope="rowgroup" colspan="2">\(stage)</th><th class="n">\(grouped(parameters))</th>\
      <th class="n">\(unit.text(operations, digits: 3))</th><th class="n">\(fixed(time, 3))</th><th colspan="3"></th></tr>

      """
  }

  private func row(_ place: Int) -> HTML {
    let (layer, weights) = (layers.layers[place], weights[place])
    let isNorm: Bool
    switch layer.operation {
    case .batchNorm2d, .groupNorm: isNorm = true
    default: isNorm = false
    }
    let name: HTML =
      layer.path.isEmpty
      ? "\(layer.kind)"
      : "<code>\(layer.path)</code> <span class=\"kind\">\(layer.kind)\(layer.algorithm.isEmpty ? "" : " · " + layer.algorithm)</span>"
    return """
      <tr\(isNorm ? " class=\"norm\"" : "" as HTML)><th scope="row">\(name)</th><td class="shape">\(layer.output.productText)</td>\
      <td class="n">\(layer.parameterCount == 0 ? "" : grouped(layer.parameterCount))</td>\
      <td class="n">\(layer.operationCount == 0 ? "" : unit.text(layer.operationCount, digits: 3))</td>\(time(layer))\
      <td>\(histogram(weights))</td><td class="n">\(zeros(weights))</td><td class="n">\(dead(weights))</td></tr>

      """
  }

  private func time(_ layer: NetworkLayer) -> HTML {
    guard let milliseconds = layer.milliseconds else {
      return "<td class=\"n muted\">\(layer.computedWith.map { "in \(lastName($0))" } ?? "")</td>"
    }
    let longest = layers.layers.reduce(0) { max($0, $1.milliseconds ?? 0) }
    let share = longest > 0 ? milliseconds / longest * 100 : 0
    return "<td class=\"n time\" style=\"--s:\(fixed(share, 0))\">\(fixed(milliseconds, 3))</td>"
  }

  /// `conv1` of `layer1.0.conv1`, and `downsample.0` of `layer1.0.downsample.0`.
  private func lastName(_ path: String) -> String {
    let parts = path.split(separator: ".")
    return parts.suffix(parts.last.map { Int($0) != nil } == true ? 2 : 1).joined(separator: ".")
  }

  private func histogram(_ weights: LayerWeights) -> HTML {
    guard let weight = weights.weight else { return "" }
    let broken: HTML =
      weights.nonFinite > 0 ? "<span class=\"found\">\(grouped(weights.nonFinite)) not finite</span>" : ""
    return "\(Sparkline(weight).svg)\(broken)"
  }

  private func zeros(_ weights: LayerWeights) -> HTML {
    guard let weight = weights.weight, weight.count > 0 else { return "" }
    guard weight.zeros > 0 else { return "<span class=\"muted\">0</span>" }
    let percent = 100 * Double(weight.zeros) / Double(weight.count)
    let text = percent < 0.1 ? "<0.1 %" : percent == 100 ? "100 %" : "\(fixed(min(percent, 99.9), 1)) %"
    return "\(text)"
  }

  private func dead(_ weights: LayerWeights) -> HTML {
    guard let dead = weights.deadChannels else { return "" }
    return dead == 0 ? "<span class=\"muted\">0</span>" : "<span class=\"found\">\(grouped(dead))</span>"
  }
}
