// What keys and shapes can't tell of an architecture, as text that people write and as the JSON of rsw files.

import Checkpoints

extension Architecture {
  /// Sets what keys and shapes can't tell.
  ///
  /// - Parameters:
  ///   - name: `stride` (`first`, `second`), `antialiasing` (`none`, `average`, `blur`), `dilated` (stages such as
  ///     `3,4`), `head` (`adaptive`, `tutorial`), `pool` (`padded`, `ceil`), `stem_stride` (`1`, `2`), `stem_pool` (`none`,
  ///     `max`), `eps` or `norm_groups`.
  /// - Throws: ``RecognitionError`` when there is no such setting or value.
  public mutating func set(_ name: String, _ value: String) throws(RecognitionError) {
    func known<Choice>(_ choice: Choice?, _ choices: String) throws(RecognitionError) -> Choice {
      guard let choice else {
        throw RecognitionError(hints: "\(name)=\(printable(value)) can't be set; there are \(choices)")
      }
      return choice
    }
    switch name {
    case "stride": stridePlacement = try known(StridePlacement(rawValue: value), "first, second")
    case "antialiasing": antialiasing = try known(Antialiasing(rawValue: value), "none, average, blur")
    case "head": head = try known(Head(rawValue: value), "adaptive, tutorial")
    case "pool": stemPooling = try known(StemPooling(rawValue: value), "padded, ceil")
    case "stem_stride": stemStride = try known(["1": 1, "2": 2][value], "1, 2")
    case "stem_pool": poolsStem = try known(["none": false, "max": true][value], "none, max")
    case "eps":
      let number = Double(value).flatMap { $0 >= 0 && $0 < 1 ? $0 : nil }
      eps = try known(number, "numbers from 0 to 1")
    case "dilated":
      let stages = value.split(separator: ",").map { Int($0) }
      let allowed = 2...max(2, layers.count)
      let isGood = stages.allSatisfy { $0.map(allowed.contains) ?? false }
      dilatedStages = try known(
        isGood ? Set(stages.compactMap { $0 }) : nil, "stages \(allowed), such as 3,4")
    case "norm_groups":
      let groups = Int(value).flatMap { $0 > 0 && $0 <= 1 << 16 ? $0 : nil }
      normalization = .group(groups: try known(groups, "numbers of groups"))
    default:
      throw RecognitionError(
        hints:
          "\(printable(name)) can't be set; there are stride, antialiasing, dilated, head, pool, stem_stride, stem_pool, eps and norm_groups"
      )
    }
  }

  /// The value of one of the settings that dialects imply, as ``set(_:_:)`` takes it; nil for any other, and where it
  /// changes nothing.
  func setting(_ name: String) -> String? {
    switch name {
    case "stride": blocks.contains(.bottleneck) ? stridePlacement.rawValue : nil
    case "dilated": dilatedStages.sorted().map(String.init).joined(separator: ",")
    case "pool": stemPooling.rawValue
    case "eps": "\(eps)"
    default: nil
    }
  }

  /// Takes what an rsw file recorded that keys and shapes don't tell.
  ///
  /// - Throws: ``RecognitionError`` when it is another network's, or a value can't be.
  mutating func adopt(_ recorded: JSON) throws(RecognitionError) {
    func differs(_ name: String, _ values: [Int]) -> Bool {
      guard let recorded = recorded[name] else { return false }
      return recorded.array?.map { $0.int ?? -1 } != values
    }
    let isFolded = recorded["normalization"]?.string == "folded"
    guard !differs("layers", layers), !differs("planes", planes), isFolded == (normalization == .folded)
    else {
      throw RecognitionError(
        hints: "the architecture that the file records does not go with its keys: convert it again")
    }
    for name in ["stride", "antialiasing", "head", "pool", "stem_pool", "eps", "norm_groups", "stem_stride"] {
      switch recorded[name] {
      case nil, .null?: continue
      case .string(let value)?: try set(name, value)
      case .int(let value)?: try set(name, "\(value)")
      case .double(let value)?: try set(name, "\(value)")
      default:
        throw RecognitionError(hints: "the architecture that the file records has a \(name) that can't be")
      }
    }
    guard let stages = recorded["dilated_stages"] else { return }
    let list = stages.array?.map { $0.int.map { "\($0)" } ?? "?" } ?? ["?"]
    if !list.isEmpty { try set("dilated", list.joined(separator: ",")) }
  }

  /// The architecture as a JSON object, as rsw files hold it.
  package var json: JSON {
    var stem: [Int] = [stemChannels]
    if case .deep(let first, let second) = self.stem { stem = [first, second, stemChannels] }
    var entries: [(name: String, value: JSON)] = [
      ("family", .string("resnet")), ("variant", variantName.map { .string($0) } ?? .null),
      (
        "block",
        Set(blocks).count == 1 ? .string(blocks[0].rawValue) : .strings(blocks.map(\.rawValue))
      ),
      ("layers", .ints(layers)), ("planes", .ints(planes)), ("stem", .ints(stem)), ("groups", .int(groups)),
      ("width_per_group", .int(widthPerGroup)), ("shortcut", .string(shortcut.rawValue)),
      ("antialiasing", .string(antialiasing.rawValue)), ("stride", .string(stridePlacement.rawValue)),
      ("dilated_stages", .ints(dilatedStages.sorted())), ("eps", .double(eps)),
      ("classes", classes.map { .int($0) } ?? .null), ("features", .int(features)),
      ("head", .string(head.rawValue)), ("pool", .string(stemPooling.rawValue)),
    ]
    switch attention {
    case .none: break
    case .squeezeExcitation: entries.append(("attention", .string("squeeze_excitation")))
    case .efficientChannel: entries.append(("attention", .string("efficient_channel")))
    }
    if let stemStride { entries.append(("stem_stride", .int(stemStride))) }
    if let poolsStem { entries.append(("stem_pool", .string(poolsStem ? "max" : "none"))) }
    switch normalization {
    case .batch: break
    case .group(let groups): entries.append(("norm_groups", .int(groups)))
    case .folded: entries.append(("normalization", .string("folded")))
    }
    return .object(entries)
  }
}
