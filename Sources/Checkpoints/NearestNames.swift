// Which names a name that is not there could have been meant for.

/// The names among `candidates` with the smallest edit distance to `name`, nearest first, as far as they are near
/// enough for a misspelling.
package func nearestNames(to name: String, among candidates: [String], most: Int = 1) -> [String] {
  var best: [(name: String, distance: Int)] = []
  let target = Array(name.utf8)
  let longestCompared = 200
  guard target.count <= longestCompared, most > 0 else { return [] }
  let mostEdits = max(2, target.count / 3)
  for candidate in candidates {
    let text = Array(candidate.utf8)
    let worst = best.count < most ? .max : best[best.count - 1].distance
    guard abs(text.count - target.count) <= min(mostEdits, worst - 1) else { continue }
    let distance = editDistance(target, text)
    guard distance <= mostEdits, distance < worst else { continue }
    best.insert((candidate, distance), at: best.firstIndex { distance < $0.distance } ?? best.count)
    if best.count > most { best.removeLast() }
  }
  return best.map(\.name)
}

/// Levenshtein's distance.
private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
  var previous = Array(0...b.count)
  for (i, unit) in a.enumerated() {
    var current = [i + 1]
    for (j, other) in b.enumerated() {
      current.append(min(previous[j] + (unit == other ? 0 : 1), previous[j + 1] + 1, current[j] + 1))
    }
    previous = current
  }
  return previous[b.count]
}
