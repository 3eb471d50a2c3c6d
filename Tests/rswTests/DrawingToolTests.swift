// Trees and bars of the tool: drawn on a terminal that can, plain everywhere else.

import Foundation
import TestSupport
import Testing

@Suite struct DrawingToolTests {
  private let digits = Fixtures.path("digits/resnet18-digits.pth")

  @Test func treesAddUpTheElementsOfEachLevel() throws {
    let tree = ["ls", Fixtures.path("reading/zip-stored.pth"), "--tree"]
    let plain = """
      steps      int64    [3]     3
      linear                      8
      |- weight  float32  [2, 3]  6
      `- bias    float32  [2]     2
      3 tensors, 11 elements, 56 bytes

      """
    #expect(try Tool.run(tree).output == plain)
    for environment in Tool.plainTerminals {
      #expect(try Tool.runOnTerminal(tree, environment) == plain)
    }
    #expect(
      try Tool.runOnTerminal(tree, ["TERM": "xterm"])
        == plain.replacing("|-", with: "├─").replacing("`-", with: "└─"))
  }

  @Test func treesOfNetworksHaveEveryTensorOnce() throws {
    let lines = try Tool.run("ls", digits, "--tree").output.split(separator: "\n")
    #expect(lines.count { $0.contains("float32") || $0.contains("int64") } == 122)
    #expect(lines.last == "122 tensors, 45,722 elements, 182,968 bytes")
    let subtotals = ["layer1", "layer2", "layer3", "layer4", "conv1", "bn1", "fc"].map { name in
      lines.first { $0.split(separator: " ").first == name[...] }?.split(separator: " ").last ?? ""
    }
    #expect(subtotals.compactMap { Int($0.filter { $0 != "," }) }.reduce(0, +) == 45_722, "\(subtotals)")
  }

  @Test func treesGoWithoutJSON() throws {
    let outcome = try Tool.run("ls", digits, "--tree", "--json")
    #expect(outcome.status == 64 && outcome.errors.contains("--tree and --json"), "\(outcome.errors)")
  }

  @Test func barsOfLayersAreDrawnOnATerminalOnly() throws {
    let bench = ["bench", digits, "--layers", "--repeat", "2", "--size", "32", "32", "--threads", "1"]
    let drawn = try Tool.runOnTerminal(bench, ["TERM": "xterm"])
    let bars = drawn.split(separator: "\n").map { $0.count { $0 == "▇" } }
    // The longest time has the longest bar.
    #expect(bars.max() == 24, "\(drawn)")
    for environment in Tool.plainTerminals {
      #expect(try !Tool.runOnTerminal(bench, environment).contains { "▇▏".contains($0) })
    }
    #expect(try !Tool.run(bench).output.contains { "▇▏".contains($0) })
  }
}
