// Images as Pillow and torchvision see them.

import Checkpoints
import Images
import TestSupport
import Testing

@Suite struct ImageTests {
  private let expected: StateDict

  init() throws { expected = try Checkpoint(path: Fixtures.path("photos/expected.safetensors")).stateDict() }

  private func image(_ name: String) throws -> ImageFile {
    try ImageFile(path: Fixtures.path("photos/good/\(name)"))
  }

  /// What Pillow made of an image, `[H, W, 3]`.
  private func expectation(_ name: String, _ settings: String) throws -> (shape: [Int], values: [UInt8]) {
    let tensor = try #require(expected["\(name) \(settings)"], "there is no \(name) \(settings)")
    return (tensor.shape, try tensor.contiguousBytes().array)
  }

  private func preprocessing(_ resize: Int, _ crop: Int, _ interpolation: Interpolation) -> Preprocessing {
    var preprocessing = Preprocessing(resize: resize, crop: crop)
    preprocessing.interpolation = interpolation
    return preprocessing
  }

  /// Red, green and blue of pixels of four bytes.
  private func colors(_ pixels: [UInt8]) -> [UInt8] {
    pixels.enumerated().filter { $0.offset % 4 != 3 }.map(\.element)
  }

  private func expectEqual(_ found: [UInt8], _ wanted: [UInt8], _ what: String) {
    #expect(found.count == wanted.count, "\(what)")
    if let index = zip(found, wanted).enumerated().first(where: { $0.element.0 != $0.element.1 })?.offset {
      let largest = zip(found, wanted).map { abs(Int($0) - Int($1)) }.max() ?? 0
      Issue.record(
        "\(what): value \(index) is \(found[index]), not \(wanted[index]); largest error \(largest)")
    }
  }

  @Test(arguments: Fixtures.goodPhotos)
  func imagesHaveThePixelsThatPillowSeesUpright(_ name: String) throws {
    let image = try image(name)
    let (shape, wanted) = try expectation(name, "pixels")
    #expect([image.height, image.width] == shape.dropLast())
    // At its own size nothing is resized, and a square as large as the longer side adds black only.
    let side = max(image.width, image.height)
    let pixels = try preprocessing(min(image.width, image.height), side, .bilinear).pixels(of: image)
    let (left, top) = ((side - image.width) / 2, (side - image.height) / 2)
    var found: [UInt8] = []
    for row in 0..<image.height {
      let start = ((top + row) * side + left) * 4
      found += colors(Array(pixels[start..<start + image.width * 4]))
    }
    expectEqual(found, wanted, name)
  }

  @Test(arguments: Fixtures.goodPhotos)
  func imagesAreResizedAndCroppedAsByTorchvisionToTheBit(_ name: String) throws {
    let image = try image(name)
    for interpolation in Interpolation.allCases {
      for (resize, crop) in [(14, 12), (30, 21), (8, 11)] {
        let settings = "\(interpolation) \(resize) \(crop)"
        let found = try preprocessing(resize, crop, interpolation).pixels(of: image)
        try expectEqual(colors(found), expectation(name, settings).values, "\(name) \(settings)")
      }
    }
  }

  @Test func valuesAreScaledAndNormalised() throws {
    let preprocessing = preprocessing(14, 12, .bilinear)
    let pixels = try preprocessing.pixels(of: image("444.jpg"))
    let tensor = try preprocessing(image("444.jpg"))
    #expect(tensor.shape == [1, 3, 12, 12])
    let values = try tensor.floats()
    let (mean, std): ([Float], [Float]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    for index in 0..<values.count {
      let (channel, place) = (index / 144, index % 144)
      #expect(values[index] == (Float(pixels[place * 4 + channel]) / 255 - mean[channel]) / std[channel])
    }
  }

  @Test(arguments: Fixtures.badPhotos)
  func badImagesAreErrorsThatSayWhatIsWrong(_ bad: BadCase) throws {
    let codes = try #require(bad.code?.split(separator: "|").map(String.init), "the manifest has no code")
    let error = try #require(throws: CheckpointError.self) {
      try Preprocessing()(ImageFile(path: Fixtures.path(bad.path)))
    }
    #expect(codes.contains(error.code.description), "\(error.code): \(error)")
    #expect(bad.words.isEmpty || error.description.contains(bad.words), "\(error)")
  }

  @Test(arguments: [(0, 224), (256, 0), (5000, 224), (256, 5000), (-1, -1), (256, .max)])
  func sizesThatNoModelTakesAreErrors(_ resize: Int, _ crop: Int) throws {
    let image = try image("444.jpg")
    #expect(
      errorText { try Preprocessing(resize: resize, crop: crop)(image) }
        == "can't be made \(resize) and \(crop) pixels large: 1 to 4096 can.")
  }

  /// Every file cut at every length, and with every byte changed: an error or pixels, but nothing else.
  @Test(arguments: Fixtures.goodPhotos)
  func damageDoesNoHarm(_ name: String) throws {
    let bytes = try Bytes(mapping: Fixtures.path("photos/good/\(name)")).array
    let preprocessing = Preprocessing(resize: 14, crop: 12)
    // Nothing but a CheckpointError can be thrown.
    func tryToRead(_ bytes: [UInt8]) { _ = try? preprocessing(ImageFile(Bytes(bytes))) }
    for count in stride(from: 0, to: bytes.count, by: 3) { tryToRead(Array(bytes[..<count])) }
    var generator = SystemRandomNumberGenerator()
    for place in bytes.indices {
      var changed = bytes
      changed[place] = UInt8.random(in: 0...255, using: &generator)
      tryToRead(changed)
    }
  }
}
