// rsw verify: whether a file is what it says it is.

import ArgumentParser
import Checkpoints
import NN
import ResNets

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check a file: format, checksums, the digest in its name, its values, and what it computes.",
    discussion: """
      Exits with 1 when a check does not hold: damaged records, a name such as resnet50-11ad3fa6.pth that does not \
      begin the file's SHA-256, NaN or infinities, negative variances, other bytes than --source has, other results \
      than --against has. Channels that give the same for every image are remarks, for training may begin so.
      """)

  @Argument(help: "The checkpoint.", completion: .checkpoint)
  var file: String

  @Option(
    help: ArgumentHelp(
      "The file that the checkpoint was converted from: every tensor must have the same bytes. --key, --member, --all and --map say then what of it was converted.",
      valueName: "file"), completion: .checkpoint)
  var source: String?

  @Option(
    help: ArgumentHelp(
      "Run the model on these images, a float32 .npy of shape [N, 3, H, W].", valueName: "x.npy"),
    completion: .array)
  var input: String?

  @Option(
    help: ArgumentHelp("What the model must give for --input, as a .npy.", valueName: "y.npy"),
    completion: .array)
  var against: String?

  @Option(
    help: ArgumentHelp(
      "Compare the output of this module in place of the logits, such as layer3.0.", valueName: "module"),
    completion: .module)
  var at: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "How far a result may be from --against, for each unit of its largest value.", valueName: "r"))
  var tolerance = 1e-5

  @OptionGroup var selection: SelectionOptions
  @OptionGroup var hintOptions: HintOptions

  @OptionGroup var threadOptions: ThreadOptions

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if (input == nil) != (against == nil) { throw ValidationError("--input and --against go together.") }
    if at != nil, against == nil { throw ValidationError("--at goes with --against.") }
    if !(tolerance >= 0) { throw ValidationError("--tolerance must be 0 or more.") }
  }

  func run() throws {
    try Terminal.reporting {
      let checkpoint = try source == nil ? selection.checkpoint.open(file) : Checkpoint(path: file)
      let tensors = try tensors(of: checkpoint)
      var hints = try hintOptions.hints().and(checkpoint)
      if source != nil { hints.map = KeyMap() }  // these renamed the source's tensors
      let network = Network(tensors, hints)
      var report = checkpoint.verify(tensors) { network.checks }
      if let source {
        let comparison = SourceComparison(selection, try hintOptions.hints())
        report.checks.append(try comparison.check(checkpoint, tensors, network.recognition, source: source))
      }
      var results: OutputComparison?
      if let input, let against { results = try compareOutputs(of: network, images: input, with: against) }
      if let results { report.checks.append(results.check) }

      print(
        json
          ? document(report, network.recognition, results).text(indented: true)
          : Terminal.fit(VerificationText(report).text, indent: 4))
      if !report.holds { throw ExitCode(1) }
    }
  }

  /// What is looked at: everything in the file where it is not plain what is meant.
  private func tensors(of checkpoint: Checkpoint) throws(CheckpointError) -> StateDict {
    if source == nil, selection.all || selection.checkpoint.key != nil {
      return try selection.stateDict(of: checkpoint)
    }
    do throws(CheckpointError) {
      return try checkpoint.resNetStateDict()
    } catch  where error.code == .ambiguous || error.code == .noStateDict {
      return try checkpoint.verifiedTensors()
    }
  }

  /// The ResNet in a state dict, if it is one; found when it is first asked for, on any thread.
  private final class Network: Sendable {
    private let tensors: StateDict
    private let hints: Hints
    private let found = Locked<Result<Recognition, any Error>?>(nil)

    init(_ tensors: StateDict, _ hints: Hints) { (self.tensors, self.hints) = (tensors, hints) }

    func recognized() throws -> Recognition {
      try found.withLock { found in
        let result = found ?? Result { try Recognition(tensors, hints: hints) }
        found = result
        return result
      }.get()
    }

    var recognition: Recognition? { try? recognized() }

    /// What is found of the network, if there is one: that its tensors don't fit, and what its layers hold.
    var checks: [VerificationReport.Check] {
      guard let recognition else { return [] }
      do {
        _ = try ResNet(recognition)
        return recognition.checks()
      } catch {
        return [
          .init(
            "network", count: recognition.stateDict.count, unit: "tensors",
            outcome: "not those of the \(recognition.architecture) that they look like",
            findings: [.init(.failure, nil, error.report.firstProblem ?? "\(error)")])
        ] + recognition.checks()
      }
    }
  }

  private func compareOutputs(
    of network: Network, images input: String, with against: String
  ) throws -> OutputComparison {
    let (images, expected) = (try Tensor(npy: input), try Tensor(npy: against))
    var model = try concerning(file) { try ResNet(network.recognized()) }
    threadOptions.apply(to: &model)
    model.accuracy = .strict
    try requireModules(at.map { [$0] } ?? [], of: model, in: file)
    let actual: Tensor
    do {
      actual = try at.map { try model.outputs(images, at: [$0])[0] } ?? model(images)
    } catch let error as CheckpointError {
      throw error.inFile(file)  // weights are read when they are needed
    } catch {
      throw FileError(file: input, cause: error)
    }
    return try concerning(against) {
      try OutputComparison(
        actual, expected, tolerance: tolerance, hasClasses: at == nil && model.architecture.classes != nil)
    }
  }

  private func document(
    _ report: VerificationReport, _ recognition: Recognition?, _ results: OutputComparison?
  ) -> JSON {
    .object([
      ("schema", .int(1)), ("file", .string(file)), ("holds", .bool(report.holds)),
      ("architecture", recognition?.architecture.json ?? .null),
      ("checks", .array(report.checks.map(\.json))),
      ("comparison", results?.json ?? .null),
    ])
  }
}
