// The image that a report runs the network on.

import Checkpoints
import Images
import Inference
import NN
import ResNets

struct ReportImage {
  /// The image as the network takes it, `[1, 3, H, W]`.
  let tensor: Tensor
  /// What it is called, such as the file's name.
  let name: String
  /// What it looks like.
  let picture: PNG

  /// The longest side of the picture.
  private static let mostPixels = 224

  /// The first image of a .npy file, `[N, 3, H, W]`; its values from the smallest to the largest become black to white.
  init(npy path: String) throws {
    let images = try Tensor(npy: path)
    guard images.dtype == .float32, images.shape.count == 4, images.shape[1] == 3, images.elementCount > 0
    else {
      throw FileError(
        file: path,
        cause: InputError(
          "it is \(images.dtype) of shape \(images.shape); the model takes float32 of [N, 3, H, W]."))
    }
    let count = images.elementCount / images.shape[0]
    let values = try images.floats(ofElements: 0..<count)
    tensor = try Tensor(shape: [1] + images.shape.dropFirst(), values)
    name = printable(path) + (images.shape[0] > 1 ? ", the first of \(images.shape[0]) images" : "")
    picture = ReportImage.picture(values, height: images.shape[2], width: images.shape[3])
  }

  /// A photo, prepared for a model.
  ///
  /// - Throws: an error that names the file when it can't be decoded.
  init(photo path: String, _ preprocessing: Preprocessing) throws {
    let tensor = try concerning(path) { try preprocessing(ImageFile(path: path)) }
    self.tensor = tensor
    name = printable(path)
    let (values, side) = (try tensor.floats(), preprocessing.crop)
    // Back to what was normalised, on a scale from 0 to 1.
    let colors = values.enumerated().map { place, value in
      let channel = place / (side * side)
      return value * preprocessing.std[channel] + preprocessing.mean[channel]
    }
    picture = ReportImage.picture(colors, height: side, width: side, scale: (0, 1))
  }

  /// - Parameter scale: what becomes black and white; nil for the smallest and the largest value.
  private static func picture(_ values: [Float], height: Int, width: Int, scale: (Float, Float)? = nil) -> PNG
  {
    let planes = (0..<3).map { color in
      FeatureMap(values[color * height * width..<(color + 1) * height * width], height, width)
        .reduced(to: mostPixels)
    }
    let finite = planes.flatMap(\.values).filter(\.isFinite)
    let (low, high) = scale ?? (finite.min() ?? 0, finite.max() ?? 0)
    let pixels = planes[0].values.indices.flatMap { pixel in
      planes.map { level($0.values[pixel], low, high) }
    }
    return PNG(width: planes[0].width, height: planes[0].height, colors: .rgb, pixels: pixels)
  }

  private static func level(_ value: Float, _ low: Float, _ high: Float) -> UInt8 {
    // Halves, as the whole span may be too large for a Float.
    let span = high / 2 - low / 2
    guard value.isFinite, span > 0 else { return 128 }
    return UInt8(max(0, min(255, (255 * ((value / 2 - low / 2) / span)).rounded())))
  }
}

/// One channel of one image.
struct FeatureMap {
  let values: [Float]
  let height: Int, width: Int

  init(_ values: some Collection<Float>, _ height: Int, _ width: Int) {
    (self.values, self.height, self.width) = (Array(values), height, width)
  }

  /// The map with no side longer than `most`: each value is the mean of a square of the original's.
  func reduced(to most: Int) -> FeatureMap {
    let factor = (max(height, width) + most - 1) / most
    guard factor > 1 else { return self }
    let (rows, columns) = ((height + factor - 1) / factor, (width + factor - 1) / factor)
    var means: [Float] = []
    means.reserveCapacity(rows * columns)
    for row in 0..<rows {
      for column in 0..<columns {
        var (sum, count): (Float, Float) = (0, 0)
        for y in row * factor..<min(height, (row + 1) * factor) {
          for x in column * factor..<min(width, (column + 1) * factor) {
            sum += values[y * width + x]
            count += 1
          }
        }
        means.append(sum / count)
      }
    }
    return FeatureMap(means, rows, columns)
  }
}
