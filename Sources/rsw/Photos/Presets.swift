// How images are prepared for a model: as whoever published its weights prepares them.

import Checkpoints
import Images
import ResNets

extension Preprocessing {
  /// What the weights' publisher does, found by a description beside the file, by the name that they were published
  /// under or by the network; else torchvision's usual preset.
  init(for checkpoint: Checkpoint, _ architecture: Architecture) {
    self.init()
    if let described = Preprocessing(describedBeside: checkpoint.path) {
      self = described
      return
    }
    let source = checkpoint.metadata.first { $0.name == "source" }?.value
    let path = checkpoint.path.split(separator: "/").suffix(5).map(String.init)
    let names = [source, checkpoint.member].compactMap { $0 } + path.reversed()
    for name in names.flatMap(Preprocessing.published) + [architecture.variantName].compactMap({ $0 }) {
      guard let preset = Preprocessing.presets[name] else { continue }
      self = preset
      return
    }
    if architecture.stem == .small { (resize, crop) = (32, 32) }
  }

  /// The names that weights may have been published under, from a part of their path.
  private static func published(_ part: String) -> [String] {
    // A folder of the hub's cache is called models--timm--resnet50.a1_in1k.
    let name = part.hasPrefix("models--") ? String(part.split(separator: "-").last ?? "") : part
    let stem = name.split(separator: ".").dropLast().joined(separator: ".")
    return [name, stem]
  }

  /// The presets of tools/make_photo_data.py.
  private static let presets: [String: Preprocessing] = {
    var presets: [String: Preprocessing] = [:]
    for line in String(decoding: PackageResources.presets_txt, as: UTF8.self).split(separator: "\n") {
      let words = line.split(separator: " ").map(String.init)
      guard words.count > 4, let resize = Int(words[0]), let crop = Int(words[1]),
        let interpolation = Interpolation(rawValue: words[2])
      else { continue }
      var preset = Preprocessing(resize: resize, crop: crop)
      preset.interpolation = interpolation
      if words[3] == "inception" {
        (preset.mean, preset.std) = (SIMD3(repeating: 0.5), SIMD3(repeating: 0.5))
      }
      for name in words.dropFirst(4) { presets[name] = preset }
    }
    return presets
  }()

  // MARK: Descriptions on the Hugging Face hub

  /// What `config.json` of timm or `preprocessor_config.json` of transformers says.
  private init?(describedBeside path: String) {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    func read(_ name: String) -> JSON? {
      guard let file = try? Bytes(mapping: folder + name), file.count <= 1 << 20 else { return nil }
      return try? JSON(parsing: file)
    }
    if let timm = read("config.json")?["pretrained_cfg"] {
      self.init(timm: timm)
    } else if let transformers = read("preprocessor_config.json") {
      self.init(transformers: transformers)
    } else {
      return nil
    }
  }

  private init?(timm: JSON) {
    guard let size = timm["input_size"]?.array?.last?.int, let part = timm["crop_pct"]?.number else {
      return nil
    }
    self.init(crop: size, ofSize: Double(size) / part)
    interpolation = timm["interpolation"]?.string.flatMap { Interpolation(rawValue: $0) } ?? .bicubic
    set(mean: timm["mean"], std: timm["std"])
  }

  private init?(transformers: JSON) {
    guard let size = transformers["size"]?["shortest_edge"]?.int ?? transformers["size"]?.int else {
      return nil
    }
    self.init(crop: size, ofSize: Double(size) / (transformers["crop_pct"]?.number ?? 0.875))
    // Pillow's numbers
    interpolation = transformers["resample"]?.int == 2 ? .bilinear : .bicubic
    set(mean: transformers["image_mean"], std: transformers["image_std"])
  }

  private init?(crop: Int, ofSize size: Double) {
    guard (1...Preprocessing.largestSize).contains(crop), size >= 1, size <= Double(Preprocessing.largestSize)
    else { return nil }
    self.init(resize: Int(size), crop: crop)
  }

  private mutating func set(mean: JSON?, std: JSON?) {
    func colors(_ json: JSON?) -> SIMD3<Float>? {
      let values = json?.array?.compactMap { $0.number.map { Float($0) } } ?? []
      return values.count == 3 ? SIMD3(values) : nil
    }
    if let mean = colors(mean), let std = colors(std), !(0..<3).contains(where: { std[$0] == 0 }) {
      (self.mean, self.std) = (mean, std)
    }
  }
}
