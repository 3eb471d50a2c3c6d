// Misspelt names are recognised, and others are not.

import Checkpoints
import Testing

@Suite struct NearestNamesTests {
  private let names = ["conv1.weight", "bn1.weight", "bn1.bias", "bn2.bias", "fc.weight"]

  @Test(arguments: [
    ("bn1.bais", ["bn1.bias"]), ("conv1.weigth", ["conv1.weight"]),
    ("fc.weight", ["fc.weight", "bn1.weight"]),
    ("positional_embedding", []), ("", []), (String(repeating: "x", count: 300), []),
  ])
  func theNearestComeFirst(_ name: String, _ nearest: [String]) {
    #expect(Array(nearestNames(to: name, among: names, most: 2).prefix(nearest.count)) == nearest)
    if nearest.isEmpty { #expect(nearestNames(to: name, among: names, most: 2).isEmpty) }
  }

  @Test func asManyAreGivenAsAreAskedFor() {
    #expect(nearestNames(to: "bn3.bias", among: names) == ["bn1.bias"])
    #expect(nearestNames(to: "bn3.bias", among: names, most: 0) == [])
    #expect(nearestNames(to: "bn3.bias", among: [], most: 3) == [])
  }
}
