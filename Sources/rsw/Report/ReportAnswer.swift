// What the network says about an image: its best classes, and what its stages make of it.

import Checkpoints
import NN
import ResNets

struct ReportAnswer {
  private let image: ReportImage
  private let best: [Prediction]
  private let labels: Labels?
  let activations: ActivationPictures

  /// How many classes are shown.
  private static let classCount = 5

  /// Runs the network.
  ///
  /// - Parameter labels: what the classes are called; nil for a network without any.
  init(_ network: ResNet, _ image: ReportImage, _ labels: Labels?) throws {
    (self.image, self.labels) = (image, labels)
    activations = try ActivationPictures(network, image.tensor)
    best =
      network.architecture.classes == nil
      ? [] : Prediction.best(ReportAnswer.classCount, of: try network(image.tensor).floats()[...])
  }

  var html: HTML {
    let rows: [HTML] = best.map { answer in
      let percent = 100 * answer.probability
      return """
        <tr><th scope="row">\(name(of: answer.index))</th><td class="n">\(fixed(percent, 2)) %</td>\
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

  private func name(of index: Int) -> HTML {
    guard let label = labels?[index] else { return "class \(index)" }
    return "\(label) <span class=\"kind\">class \(index)</span>"
  }
}
