// What a model computes held against what it should.

import Checkpoints

struct OutputComparison {
  private let shape: [Int]
  private let expectedShape: [Int]
  private let tolerance: Double
  /// Nil where the shapes differ.
  private let errors: Errors?

  private struct Errors {
    let largest: Double
    /// For each unit of the largest expected value.
    let relative: Double
    let index: [Int]
    let cosine: Double
    /// In how many rows the largest logit is the expected one; nil for what is no logits.
    let sameClasses: Int?
  }

  /// - Parameter hasClasses: whether the values of a row are logits.
  init(_ actual: Tensor, _ expected: Tensor, tolerance: Double, hasClasses: Bool) throws {
    (shape, expectedShape, self.tolerance) = (actual.shape, expected.shape, tolerance)
    guard shape == expectedShape else {
      errors = nil
      return
    }
    let difference = try actual.valueDifference(from: expected)
    let (ours, theirs) = (try actual.floats(), try expected.floats())
    let scale = Double(theirs.reduce(0) { $1.isFinite ? max($0, abs($1)) : $0 })
    let largest = difference.largestAbsolute
    var sameClasses: Int?
    if hasClasses, expected.shape.count == 2 {
      let classes = expected.shape[1]
      let pairs = zip(OutputComparison.rows(ours, classes), OutputComparison.rows(theirs, classes))
      sameClasses = pairs.count { OutputComparison.best($0) == OutputComparison.best($1) }
    }
    errors = Errors(
      largest: largest, relative: largest == 0 ? 0 : largest / scale, index: difference.index,
      cosine: difference.cosine, sameClasses: sameClasses)
  }

  private static func rows(_ values: [Float], _ width: Int) -> [ArraySlice<Float>] {
    stride(from: 0, to: values.count, by: max(1, width)).map { values[$0..<min($0 + width, values.count)] }
  }

  /// The place of the first of the largest values in its row.
  private static func best(_ row: ArraySlice<Float>) -> Int? {
    row.indices.max { row[$0] < row[$1] || row[$0] == row[$1] && $0 > $1 }.map { $0 - row.startIndex }
  }

  var check: VerificationReport.Check {
    let count = expectedShape.reduce(1, *)
    guard let errors else {
      return .init(
        "outputs", count: count, unit: "values", outcome: "of another shape",
        findings: [.init(.failure, nil, "the model gives shape \(shape), not \(expectedShape)")])
    }
    var findings: [VerificationReport.Finding] = []
    if !(errors.relative <= tolerance) {
      findings.append(
        .init(
          .failure, nil, index: errors.index,
          "is off by \(general(errors.largest, 3)), \(general(errors.relative, 3)) of the largest value; at most "
            + "\(general(tolerance, 3)) is tolerated"))
    }
    if let same = errors.sameClasses, same < shape[0] {
      findings.append(
        .init(.remark, nil, "\(shape[0] - same) of \(shape[0]) rows have their largest logit elsewhere"))
    }
    let classes = errors.sameClasses.map { ", same class in \($0) of \(shape[0])" } ?? ""
    return .init(
      "outputs", count: count, unit: "values",
      outcome:
        "error at most \(general(errors.largest, 3)) at \(errors.index), \(general(errors.relative, 3)) of the "
        + "largest value; cosine \(fixed(errors.cosine, 9))" + classes,
      findings: findings)
  }

  var json: JSON {
    .object([
      ("shape", .ints(shape)), ("expected_shape", .ints(expectedShape)), ("tolerance", .double(tolerance)),
      ("max_abs", errors.map { .double($0.largest) } ?? .null),
      ("max_rel", errors.map { .double($0.relative) } ?? .null),
      ("index", errors.map { .ints($0.index) } ?? .null),
      ("cosine", errors.map { .double($0.cosine) } ?? .null),
      ("same_classes", errors?.sameClasses.map { .int($0) } ?? .null),
    ])
  }
}
