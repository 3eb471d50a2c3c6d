// classify MODEL PHOTO... [--labels FILE]: the five best classes of each photo.
//
// MODEL is a file of any ResNet. Photos are JPEG or PNG and are prepared as torchvision prepares them for most of its
// weights; an .npy file holds images that are prepared already, float32 [N, 3, H, W]. FILE has the name of a class in
// each line.

import Foundation
import Images
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
    var files = arguments
    var names: [String] = []
    if let place = files.firstIndex(of: "--labels"), place + 1 < files.count {
      names = try labels(files[place + 1])
      files.removeSubrange(place...place + 1)
    }
    guard files.count > 1 else { throw Usage() }

    let model = try ResNet(Checkpoint(path: files[0]))
    for file in files.dropFirst() {
      let logits = try model(images(file))
      let classes = logits.shape[1]
      let values = try logits.floats()
      for image in 0..<logits.shape[0] {
        for (place, probability) in best(Array(values[image * classes..<(image + 1) * classes]), 5) {
          let name = names.indices.contains(place) ? names[place] : "class \(place)"
          print("\(file)\t\(image)\t\(name)\t" + String(format: "%.2f%%", 100 * probability))
        }
      }
    }
  }

  /// A photo as the network takes it, or images that are so already: [N, 3, H, W].
  static func images(_ file: String) throws -> Tensor {
    file.hasSuffix(".npy") ? try Tensor(npy: file) : try Preprocessing()(ImageFile(path: file))
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
    let description = "usage: classify MODEL PHOTO... [--labels FILE]"
  }
}
