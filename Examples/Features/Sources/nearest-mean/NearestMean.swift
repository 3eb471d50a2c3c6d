// nearest-mean MODEL TRAINING TEST: transfer learning without training.
//
// A pretrained network makes an embedding of each image. A new class is the mean of its images' embeddings, and an
// image belongs to the class whose mean is nearest by angle (Snell et al. 2017, "Prototypical networks for few-shot
// learning", arXiv:1703.05175). TRAINING and TEST hold a folder for each class, and these its photos, which are prepared as
// torchvision does it for most of its weights, or .npy files with one prepared image each, float32 [3, H, W].

import Foundation
import Images
import ResNets

@main
struct NearestMean {
  static func main() {
    do {
      try run(Array(CommandLine.arguments.dropFirst()))
    } catch {
      FileHandle.standardError.write(Data("nearest-mean: \(error)\n".utf8))
      exit(1)
    }
  }

  static func run(_ arguments: [String]) throws {
    guard arguments.count == 3 else { throw Problem(description: "usage: nearest-mean MODEL TRAINING TEST") }
    let model = try ResNet(Checkpoint(path: arguments[0]))
    let means = try subfolders(arguments[1]).map { folder in
      (name: folder.lastPathComponent, mean: mean(try embeddings(model, folder)))
    }
    guard !means.isEmpty else { throw Problem(description: "\(arguments[1]) has no folder for a class.") }

    var (right, all) = (0, 0)
    for folder in try subfolders(arguments[2]) {
      for embedding in try embeddings(model, folder) {
        let nearest = means.max { dot($0.mean, embedding) < dot($1.mean, embedding) }
        right += nearest?.name == folder.lastPathComponent ? 1 : 0
        all += 1
      }
    }
    guard all > 0 else {
      throw Problem(description: "\(arguments[2]) has no image in a folder for a class.")
    }
    print("\(right) of \(all) images are nearest to the mean of their class, of \(means.count) classes")
  }

  /// What the network makes of each image of a folder before it classifies, in unit length.
  static func embeddings(_ model: ResNet, _ folder: URL) throws -> [[Float]] {
    let files = try contents(folder).filter { kinds.contains($0.pathExtension.lowercased()) }
    return try files.map { file in
      unit(try model.outputs(image(file.path), at: ["avgpool"])[0].floats())
    }
  }

  static let kinds: Set = ["jpg", "jpeg", "png", "npy"]

  /// An image as the network takes it: [1, 3, H, W].
  static func image(_ path: String) throws -> Tensor {
    guard path.hasSuffix(".npy") else { return try Preprocessing()(ImageFile(path: path)) }
    let image = try Tensor(npy: path)
    return try Tensor(shape: [1] + image.shape, image.floats())
  }

  static func mean(_ vectors: [[Float]]) -> [Float] {
    guard var sum = vectors.first else { return [] }
    for vector in vectors.dropFirst() { sum = zip(sum, vector).map { $0 + $1 } }
    return unit(sum)
  }

  static func unit(_ vector: [Float]) -> [Float] {
    let length = max(dot(vector, vector).squareRoot(), .leastNormalMagnitude)
    return vector.map { $0 / length }
  }

  static func dot(_ a: [Float], _ b: [Float]) -> Float { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

  static func subfolders(_ path: String) throws -> [URL] {
    try contents(URL(fileURLWithPath: path)).filter(\.hasDirectoryPath)
  }

  static func contents(_ folder: URL) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
      .sorted { $0.lastPathComponent < $1.lastPathComponent }
  }

  struct Problem: Error, CustomStringConvertible {
    let description: String
  }
}
