// classify MODEL IMAGES.npy [LABELS]: the five best classes of each image.
//
// MODEL is a file of any ResNet; IMAGES.npy holds float32 [N, 3, H, W], prepared as for training; LABELS has the name
// of a class in each line.

import Foundation
import ResNets

@main
struct Classify {
  static func main() {
    do {
      try run(Array(CommandLine.arguments.dropFirst()))
    } catch {
      FileHandle.standardError.write(Data("classify: \(error)\n".utf8))
      exit(1)
    }
  }

  static func run(_ arguments: [String]) throws {
    guard (2...3).contains(arguments.count) else { throw Usage() }
    let model = try ResNet(Checkpoint(path: arguments[0]))
    let images = try Tensor(npy: arguments[1])
    let names = try arguments.count > 2 ? labels(arguments[2]) : []

    let logits = try model(images)
    let classes = logits.shape[1]
    let values = try logits.floats()
    for image in 0..<logits.shape[0] {
      let row = Array(values[image * classes..<(image + 1) * classes])
      for (place, probability) in best(row, 5) {
        let name = names.indices.contains(place) ? names[place] : "class \(place)"
        print("\(image)\t\(name)\t" + String(format: "%.2f%%", 100 * probability))
      }
    }
  }

  /// The classes with the largest logits and their probabilities by softmax, largest first.
  static func best(_ logits: [Float], _ count: Int) -> [(place: Int, probability: Double)] {
    let largest = logits.max() ?? 0
    let exponentials = logits.map { exp(Double($0 - largest)) }
    let sum = exponentials.reduce(0, +)
    return logits.indices.sorted { logits[$0] > logits[$1] }.prefix(count).map {
      ($0, exponentials[$0] / sum)
    }
  }

  static func labels(_ path: String) throws -> [String] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  struct Usage: Error, CustomStringConvertible {
    let description = "usage: classify MODEL IMAGES.npy [LABELS]"
  }
}
