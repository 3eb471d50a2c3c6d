// rsw bench: how long a forward pass, or opening a file, takes in a process that has been at it
// for a while.

import ArgumentParser
import Checkpoints
import Inference
import NN
import ResNets

extension ConvolutionAlgorithm: ExpressibleByArgument {}
extension MatrixEngine: ExpressibleByArgument {}

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Time forward passes of a ResNet, or the opening of its file.")

  @Argument(help: "The model: a checkpoint or an .rsw file.", completion: .checkpoint)
  var model: String

  @Option(parsing: .unconditional, help: "Images a pass.")
  var batch = 1

  @OptionGroup var options: CheckpointOptions
  @OptionGroup var hintOptions: HintOptions

  @OptionGroup var threadOptions: ThreadOptions

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Height and width of the images, two numbers.", valueName: "pixels"))
  var size: [Int] = [224, 224]

  @Option(name: .customLong("repeat"), parsing: .unconditional, help: "How many times to measure.")
  var repetitions = 20

  @Option(
    help: ArgumentHelp(
      "The algorithm of all convolutions that it applies to (default: the fastest for each).",
      valueName: "algorithm"))
  var algorithm: ConvolutionAlgorithm?

  @Option(
    help: ArgumentHelp(
      "What multiplies matrices: our own kernel or OpenBLAS (default: native where vectors have 8 lanes or more).",
      valueName: "engine"))
  var engine: MatrixEngine?

  @Flag(help: "Avoid algorithms that trade accuracy for speed: no Winograd F(4x4) and F(3x3), no Strassen.")
  var strict = false

  @Flag(help: "Time each layer, and say how it is computed.")
  var layers = false

  @Flag(help: "Time opening the file and listing its names and shapes instead.")
  var open = false

  @Flag(help: "Time finding out what an open file's state dict is, and the names of its tensors, instead.")
  var recognition = false

  @Flag(
    help:
      "Print \"ready\", then time as many passes as each line of standard input says, and print a JSON list of milliseconds."
  )
  var onDemand = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if batch > 4096 || repetitions > 1_000_000 || size.contains(where: { $0 > 16_384 }) {
      throw ValidationError("--batch goes to 4096, --repeat to 1000000, --size to 16384.")
    }
    if let engine, !engine.isInstalled {
      throw ValidationError("OpenBLAS is not installed. Install it (libopenblas0), or leave --engine out.")
    }
    if batch < 1 || repetitions < 1 { throw ValidationError("--batch and --repeat must be at least 1.") }
    if size.count != 2 || size.contains(where: { $0 < 1 }) {
      throw ValidationError("--size takes a height and a width, two numbers such as --size 224 224.")
    }
  }

  func run() throws {
    try Terminal.reporting {
      if open {
        return report(
          try milliseconds(repetitions) {
            let stateDict = try Checkpoint(path: model).resNetStateDict()
            for (name, tensor) in stateDict where name.isEmpty && tensor.shape.isEmpty { return }
          })
      }
      if recognition {
        let (checkpoint, hints) = (try options.open(model), try hintOptions.hints())
        let stateDict = try checkpoint.resNetStateDict(key: options.key)
        return report(
          try milliseconds(repetitions) { _ = try Recognition(stateDict, hints: hints.and(checkpoint)) })
      }
      let network = try network()
      if onDemand { return try answerDemands(network) }
      if layers { return try reportLayers(network) }
      try reportPasses(network)
    }
  }

  /// Reports how long something took that is no pass.
  private func report(_ samples: [Double]) {
    if json {
      print(JSON.object([("schema", .int(1)), ("model", .string(model))] + timing(samples)).text())
    } else {
      print("median \(fixed(median(samples), 2)) ms, min \(fixed(samples.min() ?? 0, 2)) ms")
    }
  }

  // MARK: Forward passes

  private var shape: [Int] { [batch, 3] + size }

  private func network() throws -> ResNet {
    var network = try loadModel(model, options, hintOptions).network
    threadOptions.apply(to: &network)
    network.algorithm = algorithm
    if let engine { network.engine = engine }
    network.accuracy = strict ? .strict : .standard
    try checkMemory(network)
    return network
  }

  private func images() throws -> Tensor { try .noise(shape: shape) }

  /// Refuses passes that this machine has no memory for.
  private func checkMemory(_ network: ResNet) throws {
    let plan = try concerning(model) { try network.memory(for: shape) }
    let images = shape.reduce(4, *)  // at most 4096 · 3 · 16384² · 4, which is an Int
    let needed = images.saturatingAdding(plan.weights).saturatingAdding(plan.workspace)
    let available = physicalMemory()
    guard needed <= available else {
      throw CheckpointError(
        .limitExceeded,
        "a pass would take \(byteSize(needed)), and this machine has \(byteSize(available)): choose a smaller --batch or --size."
      ).inFile(model)
    }
  }

  /// A forward pass that has been made before: the first ones pack weights, wake threads and warm caches.
  private func warmPass(_ network: ResNet) throws -> () throws -> Void {
    let images = try images()
    for _ in 0..<3 { _ = try network(images) }
    return { _ = try network(images) }
  }

  private func reportPasses(_ network: ResNet) throws {
    let samples = try milliseconds(repetitions, warmPass(network))
    let median = median(samples)
    let operations = Double(try network.operationCount(for: shape))
    let rate = operations / median / 1e6
    let peak = MachinePeak.gigaflops(threads: network.threadCount)
    if json {
      print(
        JSON.object(
          [("schema", .int(1)), ("model", .string(model))] + timing(samples) + [
            ("images_per_second", .double(Double(batch) * 1000 / median)),
            ("gflops", .double(rate)), ("peak_gflops", .double(peak)),
            ("threads", .int(network.threadCount)),
            ("engine", .string(network.engine.rawValue)), ("core", .string(ResNet.coreType)),
            ("instructions", .string(MachinePeak.instructions)),
          ]
        ).text())
    } else {
      print(
        "median \(fixed(median, 2)) ms, min \(fixed(samples.min() ?? 0, 2)) ms, "
          + "\(fixed(Double(batch) * 1000 / median, 1)) images/s")
      print(
        "\(fixed(rate, 1)) GFLOP/s of the layers' multiplications and additions, \(fixed(100 * rate / peak, 0)) % of the "
          + "\(fixed(peak, 1)) that these cores reach without memory")
      print(surroundings(network))
    }
  }

  private func surroundings(_ network: ResNet) -> String {
    "threads \(network.threadCount), engine \(network.engine), OpenBLAS core type \(ResNet.coreType), vectors \(MachinePeak.instructions)"
  }

  private func reportLayers(_ network: ResNet) throws {
    let images = try images()
    for _ in 0..<3 { _ = try network(images) }
    let timings = try network.profile(images, repetitions: repetitions)
    let total = timings.reduce(0) { $0 + median($1.milliseconds) }
    if json {
      let layers = timings.map { timing in
        JSON.object([
          ("name", .string(timing.name)),
          ("algorithm", timing.algorithm.isEmpty ? .null : .string(timing.algorithm)),
          ("input", .array(timing.shapes.input.map { .int($0) })),
          ("output", .array(timing.shapes.output.map { .int($0) })),
          ("images_at_once", .int(timing.images)), ("median_ms", .double(median(timing.milliseconds))),
          ("min_ms", .double(timing.milliseconds.min() ?? 0)),
          ("gflops", .double(Double(timing.operationCount) / median(timing.milliseconds) / 1e6)),
        ])
      }
      print(
        JSON.object([
          ("schema", .int(1)), ("model", .string(model)), ("threads", .int(network.threadCount)),
          ("engine", .string(network.engine.rawValue)), ("core", .string(ResNet.coreType)),
          ("instructions", .string(MachinePeak.instructions)),
          ("layers", .array(layers)),
        ]).text())
      return
    }
    let longest = timings.map { median($0.milliseconds) }.max() ?? 0
    var rows = [["layer", "input", "output", "algorithm", "images", "ms", "share", "GFLOP/s"]]
    for timing in timings {
      let milliseconds = median(timing.milliseconds)
      let rate = Double(timing.operationCount) / milliseconds / 1e6
      rows.append([
        timing.name, text(timing.shapes.input), text(timing.shapes.output), timing.algorithm,
        "\(timing.images)", fixed(milliseconds, 3), "\(fixed(100 * milliseconds / total, 1)) %",
        timing.operationCount == 0 ? "" : fixed(rate, 1),
      ])
    }
    rows.append(["all", "", "", "", "", fixed(total, 3), "100.0 %", ""])
    let numeric: Set = [4, 5, 6, 7]
    let width = Terminal.barWidth(beside: table(rows, numeric: numeric), longest: 24)
    if Terminal.drawsResults, width > 0 {
      for (index, timing) in timings.enumerated() {
        rows[index + 1].append(bar(median(timing.milliseconds) / longest, width: width))
      }
    }
    print(table(rows, numeric: numeric))
    print(surroundings(network))
  }

  /// A bar for a share of the longest time.
  private func bar(_ share: Double, width: Int) -> String {
    guard share.isFinite else { return "" }
    let length = Int((share * Double(width)).rounded())
    return length == 0 ? "▏" : String(repeating: "▇", count: length)
  }

  private func text(_ shape: [Int]) -> String { shape.map(String.init).joined(separator: "×") }

  private func answerDemands(_ network: ResNet) throws {
    let pass = try warmPass(network)
    Terminal.printNow("ready")
    while let line = readLine(), let count = Int(line) {
      let samples = try milliseconds(count, pass)
      Terminal.printNow(JSON.array(samples.map { .double($0) }).text())
    }
  }

  // MARK: Timing

  private func timing(_ samples: [Double]) -> [(String, JSON)] {
    [
      ("median_ms", .double(median(samples))), ("min_ms", .double(samples.min() ?? 0)),
      ("samples_ms", .array(samples.map { .double($0) })),
    ]
  }

  /// How long each call of `work` takes.
  private func milliseconds(_ count: Int, _ work: () throws -> Void) throws -> [Double] {
    let clock = ContinuousClock()
    return try (0..<count).map { _ in try clock.measure(work) / .milliseconds(1) }
  }
}

/// The value in the middle, or the mean of the two there; 0 of none.
func median(_ samples: [Double]) -> Double {
  guard !samples.isEmpty else { return 0 }
  let sorted = samples.sorted()
  return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
}

extension Tensor {
  /// Normally distributed numbers, the same in every run.
  static func noise(shape: [Int]) throws(CheckpointError) -> Tensor {
    var random = SplitMix64(state: 1)
    return try Tensor(shape: shape, (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) })
  }
}
