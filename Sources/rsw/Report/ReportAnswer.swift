// What the network says about an image: its best classes, and what its stages make of it.

import Checkpoints
import NN
import ResNets

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

struct ReportAnswer {
  private let image: ReportImage
  private let best: [(index: Int, probability: Double)]
  let activations: ActivationPictures

  /// Runs the network.
  init(_ network: ResNet, _ image: ReportImage) throws {
    self.image = image
    activations = try ActivationPictures(network, image.tensor)
    guard network.architecture.classes != nil else {
      best = []
      return
    }
    let logits = try network(image.tensor).floats()
    let largest = logits.max() ?? 0
    let sum = logits.reduce(0.0) { $0 + exp(Double($1 - largest)) }
    best = logits.indices.sorted { logits[$0] > logits[$1] }.prefix(5).map { index in
      (index, exp(Double(logits[index] - largest)) / sum)
    }
  }

  var html: HTML {
    let rows: [HTML] = best.map { answer in
      let percent = 100 * answer.probability
      return """
        <tr><th scope="row">class \(answer.index)</th><td class="n">\(fixed(percent, 2)) %</td>\
        <td class="share"><i style="--s:\(fixed(percent, 1))"></i></td></tr>

        """
    }
    let table: HTML =
      best.isEmpty
      ? "<p>The model has no classifier: it gives features.</p>"
      : """
      <div class="scroll" tabindex="0" role="region" aria-labelledby="answer-title"><table><caption>The best classes</caption>
      <thead><tr><th scope="col">Class</th><th scope="col" class="n">Probability</th><td></td></tr></thead>
      <tbody>\(rows)</tbody></table></div>
      """
    return """
      <section id="answer" aria-labelledby="answer-title"><h2 id="answer-title">Answer</h2>
      <div class="answer"><figure><img class="pixels" alt="the image as the model sees it" width="\(image.picture.width)" height="\(image.picture.height)" src="\(image.picture.dataAddress)">
      <figcaption>\(image.name)</figcaption></figure>\(table)</div></section>

      """
  }
}
