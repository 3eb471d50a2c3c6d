// From a photo to what a model takes: torchvision's `Resize`, `CenterCrop`, `ToTensor` and `Normalize`, with the same
// values. Only what is left after cropping is computed.

public import Checkpoints

/// How images are prepared for a model.
///
/// ```swift
/// let prepare = Preprocessing()                           // 256, then 224 of the middle
/// let image = try prepare(ImageFile(path: "cat.jpg"))     // float32 [1, 3, 224, 224]
/// ```
public struct Preprocessing: Sendable, Equatable {
  /// What the shorter side becomes, in pixels; the other one keeps its ratio to it.
  public var resize: Int
  /// The side of the square that is cut from the middle, in pixels. What lies outside the image is black.
  public var crop: Int
  /// How values between pixels are found.
  public var interpolation = Interpolation.bilinear
  /// What is subtracted from red, green and blue, on a scale from 0 to 1.
  public var mean = SIMD3<Float>(0.485, 0.456, 0.406)
  /// What red, green and blue are divided by after that.
  public var std = SIMD3<Float>(0.229, 0.224, 0.225)

  /// No side is made larger than this.
  public static let largestSize = 4096

  /// torchvision's preset for most of its weights, or other sizes.
  public init(resize: Int = 256, crop: Int = 224) {
    (self.resize, self.crop) = (resize, crop)
  }

  /// The values of a prepared image: all of red, then green, then blue.
  public var count: Int { 3 * crop * crop }

  /// Prepares an image.
  ///
  /// - Returns: float32 of shape `[1, 3, crop, crop]`.
  /// - Throws: `CheckpointError` when the image can't be decoded, or the sizes are not between 1 and ``largestSize``.
  public func callAsFunction(_ image: ImageFile) throws(CheckpointError) -> Tensor {
    try checkSizes()
    var values = [Float](repeating: 0, count: count)
    try self(image, to: &values, at: 0)
    return try Tensor(shape: [1, 3, crop, crop], values)
  }

  /// Prepares an image and writes its ``count`` values to `target` from `offset` on; there has to be room.
  package func callAsFunction(
    _ image: ImageFile, to target: inout [Float], at offset: Int
  ) throws(CheckpointError) {
    let pixels = try pixels(of: image)
    let area = crop * crop
    for channel in 0..<3 {
      let values = (0..<256).map { (Float($0) / 255 - mean[channel]) / std[channel] }
      for index in 0..<area {
        target[offset + channel * area + index] = values[Int(pixels[index * 4 + channel])]
      }
    }
  }

  /// The pixels after resizing and cropping: four bytes each, red, green, blue and another one.
  package func pixels(of image: ImageFile) throws(CheckpointError) -> [UInt8] {
    try checkSizes()
    let size = resizedSize(width: image.width, height: image.height)
    let (columns, rows) = (Crop(of: size.width, to: crop), Crop(of: size.height, to: crop))
    let orientation = image.orientation
    let x = ResizeAxis(
      from: image.width, to: size.width, outputs: columns.kept, isReversed: orientation.reversesX,
      interpolation)
    let y = ResizeAxis(
      from: image.height, to: size.height, outputs: rows.kept, isReversed: orientation.reversesY,
      interpolation)
    var result = [UInt8](repeating: 0, count: crop * crop * 4)

    if orientation.isTransposed {
      // What is left and right in the image is above and below in the file.
      var sums = RowSums(x, count: y.inputs.count * 4)
      var column = [UInt8](repeating: 0, count: rows.kept.count * 4)
      try image.forEachRow(columns: y.inputs, rows: x.inputs) { row in
        sums.add(row) { output, values in
          column.withUnsafeMutableBufferPointer {
            if let start = $0.baseAddress { y.resize(row: values, to: start) }
          }
          for row in 0..<rows.kept.count {
            let place = ((rows.padding + row) * crop + columns.padding + output) * 4
            for channel in 0..<4 { result[place + channel] = column[row * 4 + channel] }
          }
        }
      }
    } else {
      let count = columns.kept.count * 4
      var sums = RowSums(y, count: count)
      var resized = [UInt8](repeating: 0, count: count)
      try image.forEachRow(columns: x.inputs, rows: y.inputs) { row in
        resized.withUnsafeMutableBufferPointer { resized in
          guard let start = resized.baseAddress else { return }
          x.resize(row: row, to: start)
          sums.add(start) { output, values in
            let place = ((rows.padding + output) * crop + columns.padding) * 4
            for index in 0..<count { result[place + index] = values[index] }
          }
        }
      }
    }
    return result
  }

  private func checkSizes() throws(CheckpointError) {
    guard (1...Preprocessing.largestSize).contains(resize), (1...Preprocessing.largestSize).contains(crop)
    else {
      throw CheckpointError(
        .limitExceeded,
        "can't be made \(resize) and \(crop) pixels large: 1 to \(Preprocessing.largestSize) can.")
    }
  }

  /// The size after resizing, as torchvision cuts off what is no whole pixel.
  private func resizedSize(width: Int, height: Int) -> (width: Int, height: Int) {
    let (short, long) = (min(width, height), max(width, height))
    // The product of a side and a size is exact in a Double.
    let newLong = Int(Double(resize * long) / Double(short))
    return width <= height ? (resize, newLong) : (newLong, resize)
  }
}

/// What is left of an axis when its middle is cut out.
private struct Crop {
  /// The pixels that are kept.
  let kept: Range<Int>
  /// How many black ones come before them.
  let padding: Int

  init(of size: Int, to crop: Int) {
    if crop > size {
      (kept, padding) = (0..<size, (crop - size) / 2)
    } else {
      // Python rounds halves to even numbers.
      let first = Int((Double(size - crop) / 2).rounded(.toNearestOrEven))
      (kept, padding) = (first..<first + crop, 0)
    }
  }
}
