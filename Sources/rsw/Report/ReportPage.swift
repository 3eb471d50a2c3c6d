// The page: what a network is, in one file that needs nothing else.

import Checkpoints
import Inference
import NN
import ResNets

struct ReportPage {
  let model: OpenedModel
  /// The file's path as given.
  let file: String
  let layers: NetworkLayers
  let weights: [LayerWeights]
  /// The shape of the image that was measured, `[1, 3, H, W]`.
  let shape: [Int]
  let filters: FilterPictures?
  let answer: ReportAnswer?

  var html: HTML {
    let title = "\(fileName) · rsw report"
    return """
      <!doctype html>
      <html lang="en"><head><meta charset="utf-8">
      <meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-\(ReportPage.scriptDigest)'">
      <meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
      <title>\(title)</title>
      <link rel="icon" href="data:,">
      <style>\(ReportPage.style)</style></head>
      <body><a class="skip" href="#main">Skip to the report</a>
      <div class="wrap"><header><h1>\(fileName)</h1><p>\(model.recognition.architecture.description)</p>\(figures)</header>
      <nav aria-label="Sections"><ul>\(navigation)</ul></nav>
      <main id="main" tabindex="-1">
      \(answer?.html ?? "")\(architecture)\(LayerTable(layers: layers, weights: weights, size: Array(shape.dropFirst(2))).html)
      \(NormTable(layers: layers, weights: weights).html)\(filters?.html ?? "")
      \(answer?.activations.html ?? "")\(checks)\(provenance)
      </main><footer>Made by rsw \(rswVersion) from <code>\(file)</code>. The page holds everything that it shows and asks \
      nothing of the network.</footer></div>
      <script>\(ReportPage.script)</script></body></html>

      """
  }

  private var fileName: String { file.split(separator: "/").last.map(String.init) ?? file }

  // MARK: Resources

  private static let style = HTML(trusted: String(decoding: PackageResources.report_css, as: UTF8.self))
  private static let script = HTML(trusted: String(decoding: PackageResources.report_js, as: UTF8.self))

  /// Only this script may run in the page.
  private static var scriptDigest: HTML {
    let digits = Array(SHA256.digest(of: Bytes(PackageResources.report_js)).utf8)
    let bytes = stride(from: 0, to: digits.count, by: 2).map { place in
      UInt8(String(decoding: digits[place..<place + 2], as: UTF8.self), radix: 16) ?? 0
    }
    return HTML(trusted: Base64.text(bytes))
  }

  // MARK: The header

  private var figures: HTML {
    let checkpoint = model.checkpoint
    let unit = ArithmeticUnit(for: layers.operationCount)
    let (time, threads) = (layers.milliseconds, model.network.threadCount)
    return """
      <dl class="figures">
      <div><dt>Parameters</dt><dd>\(grouped(model.network.parameterCount))</dd>\
      <dd>in \(layers.layers.count { $0.parameterCount > 0 }) layers</dd></div>
      <div><dt>Arithmetic</dt><dd>\(unit.text(layers.operationCount, digits: 2)) \(unit.name)</dd>\
      <dd>\(unit.text(layers.operationCount / 2, digits: 2)) \(unit.word) multiply-adds at \(sizeText)</dd></div>
      <div><dt>Size</dt><dd>\(byteSize(checkpoint.byteCount))</dd>\
      <dd>\(checkpoint.container.rawValue), \(checkpoint.writer ?? "\(model.stateDict.count) tensors")</dd></div>
      <div><dt>Time</dt><dd>\(fixed(time, time < 10 ? 2 : 1)) ms</dd>\
      <dd>for an image, on \(threads) thread\(threads == 1 ? "" : "s") with \(MachinePeak.instructions)</dd></div>
      </dl>
      """
  }

  private var sizeText: String { Array(shape.dropFirst(2)).productText }

  private var navigation: [HTML] {
    var parts = [
      ("architecture", "Architecture"), ("layers", "Layers"), ("norms", "Normalisation"),
    ]
    if answer != nil { parts.insert(("answer", "Answer"), at: 0) }
    if filters != nil { parts.append(("filters", "Filters")) }
    if answer != nil { parts.append(("activations", "Activations")) }
    parts += [("checks", "Checks"), ("file", "File")]
    return parts.map { "<li><a href=\"#\($0.0)\">\($0.1)</a></li>" }
  }

  // MARK: The architecture

  private var architecture: HTML {
    """
    <section id="architecture" aria-labelledby="architecture-title"><h2 id="architecture-title">Architecture</h2>
    \(StageDiagram(stages: stages).html)\(blocks)</section>

    """
  }

  private var stages: [StageDiagram.Stage] {
    let input = StageDiagram.Stage(
      name: "input", content: "one image", output: Array(shape.dropFirst()), blocks: 1, parameters: "",
      share: nil)
    let architecture = model.recognition.architecture
    return [input]
      + layers.stages.map { stage in
        let members = layers.layers.filter { $0.stage == stage }
        let parameters = members.reduce(0) { $0 + $1.parameterCount }
        let time = members.reduce(0) { $0 + ($1.milliseconds ?? 0) }
        var content =
          stage == "head" ? architecture.classes.map { "\(grouped($0)) classes" } ?? "features" : ""
        var blocks = 1
        if stage == "stem" { content = members.first?.kind ?? "" }
        if let number = Int(stage.dropFirst("layer".count)), architecture.layers.indices.contains(number - 1)
        {
          blocks = architecture.layers[number - 1]
          content = "\(blocks) \(architecture.blocks[number - 1].rawValue) block\(blocks == 1 ? "" : "s")"
        }
        return StageDiagram.Stage(
          name: stage, content: content, output: members.last?.output ?? [], blocks: blocks,
          parameters: "\(shortened(parameters)) parameters",
          share: layers.milliseconds > 0 ? 100 * time / layers.milliseconds : 0)
      }
  }

  /// `23,508,032` as `23.5 M`.
  private func shortened(_ count: Int) -> String {
    switch count {
    case 1_000_000...: "\(fixed(Double(count) / 1e6, 1)) M"
    case 10_000...: "\(fixed(Double(count) / 1e3, 0)) k"
    default: grouped(count)
    }
  }

  /// The inside of the blocks of each stage, folded: one drawing for all that are alike.
  private var blocks: [HTML] {
    guard let shapes = try? model.network.graph.shapes(input: shape).map({ Array($0.dropFirst()) }) else {
      return []
    }
    return model.recognition.architecture.layers.enumerated().map { stage, count in
      var kinds: [(diagram: BlockDiagram, numbers: [Int])] = []
      for block in 0..<count {
        guard
          let diagram = BlockDiagram("layer\(stage + 1).\(block)", of: model.network.graph, shapes: shapes)
        else {
          continue
        }
        if let kind = kinds.firstIndex(where: { $0.diagram.signature == diagram.signature }) {
          kinds[kind].numbers.append(block)
        } else {
          kinds.append((diagram, [block]))
        }
      }
      let figures: [HTML] = kinds.prefix(6).map { kind in
        let (first, last) = (kind.numbers.first ?? 0, kind.numbers.last ?? 0)
        let which = first == last ? "Block \(first)" : "Blocks \(first) to \(last)"
        return "<figure>\(kind.diagram.svg)<figcaption>\(which)</figcaption></figure>\n"
      }
      return """
        <details><summary>Inside <b>layer\(stage + 1)</b>: \(count) block\(count == 1 ? "" : "s")</summary>
        <div class="blocks">\(figures)</div></details>

        """
    }
  }

  // MARK: What was checked and where it comes from

  private var checks: HTML {
    let nonFinite = weights.reduce(0) { $0 + $1.nonFinite }
    let values = VerificationReport.Check(
      "values", count: model.stateDict.count, unit: "tensors",
      outcome: nonFinite == 0 ? "all finite" : "\(grouped(nonFinite)) not finite",
      findings: nonFinite == 0
        ? [] : [.init(.failure, nil, "There are NaN or infinities: 'rsw verify' says where.")])
    let items: [HTML] = ([values] + model.recognition.checks()).map { check in
      let verdict = !check.holds ? "✗ fails" : check.findings.isEmpty ? "✓ holds" : "! remark"
      let findings: [HTML] = check.findings.prefix(ReportPage.mostFindings).map { finding in
        let place = (finding.subject ?? "") + (finding.index.map { " \($0)" } ?? "")
        return "<br><code>\(place)</code> \(finding.message)"
      }
      let rest = check.findings.count - ReportPage.mostFindings
      let more: HTML = rest > 0 ? "<br>… and \(grouped(rest)) more, which 'rsw verify --json' lists" : ""
      return "<li><b>\(verdict)</b> \(check.name): \(check.outcome)\(findings)\(more)</li>\n"
    }
    return """
      <section id="checks" aria-labelledby="checks-title"><h2 id="checks-title">Checks</h2>
      <p>Checksums are checked by <code>rsw verify</code>.</p>
      <ul class="checks">\(items)</ul></section>

      """
  }

  private static let mostFindings = 20

  private var provenance: HTML {
    let (checkpoint, recognition) = (model.checkpoint, model.recognition)
    var facts: [(String, String)] = [("File", file)]
    if let member = checkpoint.member { facts.append(("Member", member)) }
    facts.append(
      (
        "Container",
        checkpoint.container.rawValue + (checkpoint.pickleProtocol.map { ", pickle protocol \($0)" } ?? "")
      ))
    if let writer = checkpoint.writer { facts.append(("Writer", writer)) }
    facts.append(("Recognised", recognition.steps.joined(separator: "; ")))
    if !recognition.alternatives.isEmpty {
      facts.append(("Would fit too", recognition.alternatives.joined(separator: ", ")))
    }
    facts.append(
      (
        "Tensors",
        "\(model.stateDict.count), \(grouped(model.stateDict.elementCount)) elements, \(byteSize(model.stateDict.byteCount))"
      ))
    if !model.stateDict.location.isEmpty { facts.append(("State dict", model.stateDict.location)) }
    facts += checkpoint.metadata.filter { $0.name != "crc32" }.map {
      ("Metadata", "\($0.name): \(printable($0.value, longest: 500))")
    }
    let rows: [HTML] = facts.map { "<tr><th scope=\"row\">\($0.0)</th><td>\($0.1)</td></tr>\n" }
    return """
      <section id="file" aria-labelledby="file-title"><h2 id="file-title">File</h2>
      <div class="scroll" tabindex="0" role="region" aria-labelledby="file-title"><table class="facts"><tbody>\(rows)</tbody></table></div></section>

      """
  }
}
