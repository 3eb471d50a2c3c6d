// The table of normalisations: between which numbers scale, shift and statistics lie.

import Checkpoints
import NN

struct NormTable {
  let layers: NetworkLayers
  let weights: [LayerWeights]

  private var places: [Int] {
    layers.layers.indices.filter { place in
      switch layers.layers[place].operation {
      case .batchNorm2d, .groupNorm: true
      default: false
      }
    }
  }

  var html: HTML {
    guard !places.isEmpty else {
      return """
        <section id="norms" aria-labelledby="norms-title"><h2 id="norms-title">Normalisation</h2>
        <p>The network has none: it became part of the convolutions.</p></section>

        """
    }
    let hasStatistics = places.contains { weights[$0].mean != nil }
    let names = ["weight", "bias"] + (hasStatistics ? ["running_mean", "running_var"] : [])
    let groups: [HTML] = names.map {
      "<th scope=\"colgroup\" colspan=\"2\" class=\"n\"><code>\($0)</code></th>"
    }
    let columns: [HTML] = names.map { _ in
      "<th scope=\"col\" class=\"n\">min</th><th scope=\"col\" class=\"n\">max</th>"
    }
    let rows: [HTML] = places.map { place in
      let weights = weights[place]
      let statistics =
        [weights.weight, weights.bias] + (hasStatistics ? [weights.mean, weights.variance] : [])
      let cells: [HTML] = statistics.enumerated().map { column, values in
        range(values, mustBePositive: column == 3)
      }
      return "<tr><th scope=\"row\"><code>\(layers.layers[place].path)</code></th>\(cells)</tr>\n"
    }
    return """
      <section id="norms" aria-labelledby="norms-title"><h2 id="norms-title">Normalisation</h2>
      <p>The smallest and the largest number of each tensor. Scales near 0 switch channels off; a variance near 0 \
      makes its channel large.</p>
      <div class="scroll" tabindex="0" role="region" aria-labelledby="norms-title">
      <table class="named"><caption>\(places.count) normalisations</caption>
      <thead><tr><th rowspan="2" scope="col">Layer</th>\(groups)</tr><tr>\(columns)</tr></thead>
      <tbody>\(rows)</tbody></table></div></section>

      """
  }

  private func range(_ values: TensorStatistics?, mustBePositive: Bool) -> HTML {
    guard let values else { return "<td></td><td></td>" }
    guard let minimum = values.minimum, let maximum = values.maximum else {
      return "<td class=\"n found\" colspan=\"2\">none is finite</td>"
    }
    let broken = values.nans + values.infinities
    let note: HTML = broken > 0 ? " <span class=\"found\">(\(grouped(broken)) not finite)</span>" : ""
    let low: HTML =
      mustBePositive && minimum < 0
      ? "<span class=\"found\">\(general(minimum, 3)) negative</span>" : "\(general(minimum, 3))"
    return "<td class=\"n\">\(low)</td><td class=\"n\">\(general(maximum, 3))\(note)</td>"
  }
}
