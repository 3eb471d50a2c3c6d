// What the commands that take photos have in common: which model and images, how they are prepared, and how far they are.

import ArgumentParser
import Checkpoints
import Images
import Inference
import ResNets

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

struct PhotoOptions: ParsableArguments {
  @Argument(help: "The model: a checkpoint or an .rsw file.", completion: .checkpoint)
  var model: String

  @Argument(
    help: "JPEG and PNG files, folders of them, and patterns such as 'photos/*.jpg'.", completion: .photo)
  var images: [String]

  @Option(
    parsing: .unconditional,
    help: "How many images go through the model at once (default: up to 4, on each thread).")
  var batch: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What the shorter side becomes before the middle is cut out (default: as the weights were published, else 256).",
      valueName: "pixels"))
  var resize: Int?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "The side of the square that is cut out (default: as the weights were published, else 224).",
      valueName: "pixels"))
  var crop: Int?

  @Option(
    help: ArgumentHelp(
      "How values between pixels are found (default: as the weights were published, else bilinear).",
      valueName: "filter"))
  var interpolation: Interpolation?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What is subtracted from red, green and blue between 0 and 1 (default: ImageNet's 0.485,0.456,0.406).",
      valueName: "r,g,b"))
  var mean: Colors?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "What they are divided by after that (default: ImageNet's 0.229,0.224,0.225).", valueName: "r,g,b"))
  var std: Colors?

  @OptionGroup var options: CheckpointOptions
  @OptionGroup var hintOptions: HintOptions

  @OptionGroup var threadOptions: ThreadOptions

  @Flag(help: "Draw no progress.")
  var quiet = false

  func validate() throws {
    if let batch, !(1...4096).contains(batch) { throw ValidationError("--batch must be between 1 and 4096.") }
    for (name, size) in [("--resize", resize), ("--crop", crop)] {
      if let size, !(1...Preprocessing.largestSize).contains(size) {
        throw ValidationError("\(name) must be between 1 and \(Preprocessing.largestSize).")
      }
    }
    if let std, (0..<3).contains(where: { !(std.values[$0] > 0) }) {
      throw ValidationError("--std must be above 0.")
    }
  }

  /// The model with the file that it was read from.
  func open() throws -> (checkpoint: Checkpoint, network: ResNet) {
    var opened = try loadModel(model, options, hintOptions)
    threadOptions.apply(to: &opened.network)
    return (opened.checkpoint, opened.network)
  }

  /// How images are prepared for the model.
  func preprocessing(_ checkpoint: Checkpoint, _ network: ResNet) -> Preprocessing {
    var result = Preprocessing(for: checkpoint, network.architecture)
    if let crop { result.crop = crop }
    if let resize { result.resize = resize }
    if let interpolation { result.interpolation = interpolation }
    if let mean { result.mean = mean.values }
    if let std { result.std = std.values }
    return result
  }

  /// The images that are meant.
  ///
  /// - Throws: `.cannotRead` when there are none.
  func paths() throws -> [String] {
    let paths = PhotoFiles.paths(images)
    guard !paths.isEmpty else {
      throw CheckpointError(.cannotRead, "there are no JPEG or PNG files in it.").inFile(
        images.joined(separator: ", "))
    }
    return paths
  }
}

/// Three numbers, for red, green and blue.
struct Colors: ExpressibleByArgument {
  let values: SIMD3<Float>

  init?(argument: String) {
    let numbers = argument.split(separator: ",", omittingEmptySubsequences: false).map { Float($0) }
    guard numbers.count == 3, let red = numbers[0], let green = numbers[1], let blue = numbers[2],
      red.isFinite, green.isFinite, blue.isFinite
    else { return nil }
    values = SIMD3(red, green, blue)
  }
}

extension Interpolation: ExpressibleByArgument {}

/// Tells people of images that are done and of those that can't be read.
final class PhotoReport {
  private let total: Int
  private let draws: Bool
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  private var lastDrawn: ContinuousClock.Instant
  private var done = 0
  /// How many images could not be read, and of how many of these there is no file.
  private var (failed, missing) = (0, 0)

  init(total: Int, quiet: Bool) {
    self.total = total
    draws = Terminal.showsProgress && !quiet
    start = clock.now
    lastDrawn = start
  }

  /// Prints what was found in an image, or what is wrong with it.
  func add(_ result: Result<String?, any Error>) {
    switch result {
    case .success(let text): if let text { interrupted { Terminal.printNow(text) } }
    case .failure(let error):
      failed += 1
      if (error as? CheckpointError)?.code == .cannotRead { missing += 1 }
      interrupted { Terminal.note("rsw: \(error)") }
    }
    done += 1
    let now = clock.now
    if draws, done < total, now - lastDrawn > .milliseconds(100) {
      let rate = Double(done) / ((now - start) / .seconds(1))
      let left = Int((Double(total - done) / rate).rounded(.up))
      Terminal.draw(
        progress: done, of: total,
        remark: "\(done) of \(total), \(fixed(rate, 1)) images/s, \(duration(left)) left")
      lastDrawn = now
    }
  }

  /// - Throws: the exit status for images that could not be read.
  func end() throws {
    if draws { Terminal.clearProgress() }
    guard failed > 0 else { return }
    if failed > 1 || total > 1 { Terminal.note("rsw: \(failed) of \(total) images could not be read.") }
    throw ExitCode(missing == total ? EX_NOINPUT : EX_DATAERR)
  }

  /// Calls `print` without progress on the line.
  private func interrupted(_ print: () -> Void) {
    if draws, lastDrawn > start {
      Terminal.clearProgress()
      lastDrawn = start
    }
    print()
  }

  private func duration(_ seconds: Int) -> String {
    let (minutes, rest) = (seconds / 60, seconds % 60)
    return minutes == 0 ? "\(rest) s" : "\(minutes) min \(rest) s"
  }
}
