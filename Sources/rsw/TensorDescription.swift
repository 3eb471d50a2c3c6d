// What `rsw show` says of a tensor.

import Checkpoints

struct TensorDescription {
  private let name: String
  private let tensor: Tensor
  private let statistics: TensorStatistics?
  private let first: ArrayText

  /// Values that are printed.
  private static let mostValues = 8

  /// - Throws: what is wrong with the tensor, or that it has no elements.
  init(_ name: String, _ tensor: Tensor) throws(CheckpointError) {
    self.name = name
    self.tensor = tensor
    // Types without a conversion have bytes only.
    guard tensor.dtype.convertsToFloat || tensor.dtype.component != nil || tensor.quantization != nil else {
      (statistics, first) = (nil, ArrayText())
      return
    }
    statistics = try TensorStatistics(tensor)
    first = try ArrayText(of: tensor, most: TensorDescription.mostValues)
  }

  func text(drawing: Bool) -> String {
    var rows = [
      ["name", printable(name)], ["dtype", "\(tensor.dtype)"],
      [
        "shape",
        "\(tensor.shape), \(grouped(tensor.elementCount)) value\(tensor.elementCount == 1 ? "" : "s"), \(byteSize(tensor.byteCount))",
      ],
    ]
    if tensor.layout != .strided {
      rows.append(["layout", "\(tensor.layout); the values are those of the dense tensor"])
    }
    if let quantization { rows.append(["quantized", "\(quantization); the values are dequantized"]) }
    guard let statistics else {
      return table(
        rows + [["values", "none are shown: \(tensor.dtype) has no conversion to numbers"]], numeric: [])
    }
    if tensor.dtype.component != nil { rows.append(["statistics", "of the magnitudes"]) }
    for (title, value) in [
      ("minimum", statistics.minimum), ("maximum", statistics.maximum), ("mean", statistics.mean),
      ("deviation", statistics.standardDeviation),
    ] {
      rows.append([title, value.map { general($0, 7) } ?? "none"])
    }
    rows += [
      ["zeros", grouped(statistics.zeros)], ["NaN", grouped(statistics.nans)],
      ["infinities", grouped(statistics.infinities)],
    ]
    if let distinct = statistics.distinct { rows.append(["distinct", grouped(distinct)]) }
    rows.append(["values", first.line])
    let facts = Terminal.fit(table(rows, numeric: []), indent: 12)
    guard let histogram = statistics.histogram, histogram.counts.count > 1 else { return facts }
    return facts + "\n\n" + HistogramText(histogram).lines(drawing: drawing)
  }

  private var quantization: String? {
    switch tensor.quantization {
    case .perTensor(let scale, let zeroPoint)?: "scale \(scale), zero point \(zeroPoint)"
    case .perChannel(let scales, _, let axis, _)?: "\(scales.count) scales along axis \(axis)"
    case nil: nil
    }
  }

  func document(file: String) -> JSON {
    func number(_ value: Double?) -> JSON { value.map { .double($0) } ?? .null }
    let histogram = statistics?.histogram.map { histogram in
      JSON.object([
        ("edges", .array(histogram.edges.map { .double($0) })), ("counts", .ints(histogram.counts)),
      ])
    }
    return .object([
      ("schema", .int(1)), ("file", .string(file)), ("name", .string(name)),
      ("dtype", .string(tensor.dtype.rawValue)), ("shape", .ints(tensor.shape)),
      ("layout", .string(tensor.layout.rawValue)), ("bytes", .int(tensor.byteCount)),
      ("count", .int(tensor.elementCount)),
      ("min", number(statistics?.minimum)), ("max", number(statistics?.maximum)),
      ("mean", number(statistics?.mean)), ("std", number(statistics?.standardDeviation)),
      ("zeros", statistics.map { .int($0.zeros) } ?? .null),
      ("nan", statistics.map { .int($0.nans) } ?? .null),
      ("inf", statistics.map { .int($0.infinities) } ?? .null),
      ("distinct", statistics?.distinct.map { .int($0) } ?? .null),
      ("magnitudes", .bool(tensor.dtype.component != nil)),
      ("first", .strings(first.values)), ("histogram", histogram ?? .null),
    ])
  }
}
