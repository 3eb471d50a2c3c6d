// rsw bench: how long a forward pass, or opening a file, takes in a process that has been at it
// for a while.

import ArgumentParser
import Checkpoints
import Inference
import NN
import ResNets

struct Bench: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Time forward passes of a ResNet, or the opening of its file.")

  @Argument(help: "The model: a checkpoint or an .rsw file.")
  var model: String

  @Option(help: "Images a pass.")
  var batch = 1

  @OptionGroup var options: CheckpointOptions

  @Option(help: "How many threads to use (default: one for each CPU).")
  var threads: Int?

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("Height and width of the images.", valueName: "pixels"))
  var size: [Int] = [224, 224]

  @Option(name: .customLong("repeat"), help: "How many times to measure.")
  var repetitions = 20

  @Flag(help: "Time opening the file and listing its names and shapes instead.")
  var open = false

  @Flag(
    help: ArgumentHelp(
      "Time as many passes as each line of standard input says, and print a JSON list of milliseconds.",
      discussion: "Before the first, a line says \"ready\"."))
  var onDemand = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    try validateThreads(threads)
    if batch > 4096 || repetitions > 1_000_000 || size.contains(where: { $0 > 16_384 }) {
      throw ValidationError("--batch goes to 4096, --repeat to 1000000, --size to 16384.")
    }
    if batch < 1 || repetitions < 1 { throw ValidationError("--batch and --repeat must be at least 1.") }
    if size.count != 2 || size.contains(where: { $0 < 1 }) {
      throw ValidationError("--size takes a height and a width.")
    }
  }

  func run() throws {
    try Terminal.reporting {
      if onDemand { return try answerDemands() }
      let samples = try open ? timeOpening() : milliseconds(repetitions, warmPass())
      let sorted = samples.sorted()
      let median = (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
      let threads = open ? 1 : (self.threads ?? ThreadPool.availableCPUs)
      if json {
        print(
          JSON.object([
            ("schema", .int(1)), ("model", .string(model)), ("median_ms", .double(median)),
            ("min_ms", .double(sorted[0])),
            ("images_per_second", open ? .null : .double(Double(batch) * 1000 / median)),
            ("threads", .int(threads)),
            ("core", .string(ResNet.coreType)), ("samples_ms", .array(samples.map { .double($0) })),
          ]).text())
      } else {
        let rate = open ? "" : ", \(fixed(Double(batch) * 1000 / median, 1)) images/s"
        print("median \(fixed(median, 2)) ms, min \(fixed(sorted[0], 2)) ms\(rate)")
        if !open { print("threads \(threads), OpenBLAS core type \(ResNet.coreType)") }
      }
    }
  }

  private func answerDemands() throws {
    let pass = try warmPass()
    Terminal.printNow("ready")
    while let line = readLine(), let count = Int(line) {
      let samples = try milliseconds(count, pass)
      Terminal.printNow(JSON.array(samples.map { .double($0) }).text())
    }
  }

  /// A forward pass that has been made before: the first ones pack weights, wake threads and warm caches.
  private func warmPass() throws -> () throws -> Void {
    var network = try loadModel(model, options)
    if let threads { network.threadCount = threads }
    let shape = [batch, 3] + size
    var random = SplitMix64(state: 1)
    let images = try Tensor(shape: shape, (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) })
    for _ in 0..<3 { _ = try network(images) }
    return { [network] in _ = try network(images) }
  }

  private func timeOpening() throws -> [Double] {
    try milliseconds(repetitions) {
      let stateDict = try Checkpoint(path: model).resNetStateDict()
      for (name, tensor) in stateDict where name.isEmpty && tensor.shape.isEmpty { return }
    }
  }

  /// How long each call of `work` takes.
  private func milliseconds(_ count: Int, _ work: () throws -> Void) throws -> [Double] {
    let clock = ContinuousClock()
    return try (0..<count).map { _ in try clock.measure(work) / .milliseconds(1) }
  }
}
