// Element-wise comparison that says what differs first and how much.

/// Nil when `actual` is within `tolerance` times the largest expected magnitude, else the first
/// element that is not, both values and the largest error.
public func difference(_ actual: [Float], _ expected: [Float], tolerance: Float) -> String? {
  guard actual.count == expected.count else { return "\(actual.count) elements instead of \(expected.count)" }
  let scale = max(expected.reduce(0) { max($0, abs($1)) }, .leastNormalMagnitude)
  var first: Int?
  var largest: Float = 0
  for (index, (a, e)) in zip(actual, expected).enumerated() {
    if a.isNaN && e.isNaN || a == e { continue }
    let error = abs(a - e) / scale
    if !(error <= tolerance), first == nil { first = index }
    largest = error.isNaN ? .infinity : max(largest, error)
  }
  return first.map {
    "element \($0) is \(actual[$0]) instead of \(expected[$0]); the largest error is \(largest) of \(scale)"
  }
}
