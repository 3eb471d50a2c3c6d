// The classes that a model's logits speak for most.

import Checkpoints

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

struct Prediction: Sendable {
  let index: Int
  let logit: Float
  /// The softmax of the logits.
  let probability: Double

  /// The `count` best classes of an image, best first.
  static func best(_ count: Int, of logits: ArraySlice<Float>) -> [Prediction] {
    let largest = logits.max() ?? 0
    let sum = logits.reduce(0.0) { $0 + exp(Double($1 - largest)) }
    return places(logits, count).map { index in
      let logit = logits[logits.startIndex + index]
      return Prediction(index: index, logit: logit, probability: exp(Double(logit - largest)) / sum)
    }
  }

  func document(_ labels: Labels) -> JSON {
    .object([
      ("class", .int(index)), ("label", labels[index].map { .string($0) } ?? .null),
      ("probability", .double(probability)), ("logit", .double(Double(logit))),
    ])
  }

  /// The places of the largest values, largest first.
  private static func places(_ row: ArraySlice<Float>, _ count: Int) -> [Int] {
    guard count < row.count / 8 else {
      return row.enumerated().sorted { $0.element > $1.element }.prefix(count).map(\.offset)
    }
    var best: [(offset: Int, element: Float)] = []
    for (offset, element) in row.enumerated()
    where best.count < count || !(element <= best[best.count - 1].element) {
      let place = best.firstIndex { element > $0.element } ?? best.count
      best.insert((offset, element), at: place)
      if best.count > count { best.removeLast() }
    }
    return best.map(\.offset)
  }
}
