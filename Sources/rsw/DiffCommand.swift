// rsw diff: what differs between two files of weights.

import ArgumentParser
import Checkpoints
import Dispatch
import ResNets

struct Diff: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Compare the tensors of two files, whatever their formats.",
    discussion: """
      Where both hold a ResNet, tensors are compared under torchvision's names; else under their own. \
      Exits with 1 when something differs.
      """)

  @Argument(help: "A checkpoint.", completion: .checkpoint)
  var first: String

  @Argument(help: "The checkpoint that it is held against.", completion: .checkpoint)
  var second: String

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp("How far values may be apart, for each unit of the second.", valueName: "r"))
  var rtol = 0.0

  @Option(parsing: .unconditional, help: ArgumentHelp("How far values may be apart besides.", valueName: "a"))
  var atol = 0.0

  @Flag(help: "Take every tensor in the files, under its full dotted path.")
  var all = false

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    if !(rtol >= 0 && atol >= 0) { throw ValidationError("--rtol and --atol must be 0 or more.") }
  }

  func run() throws {
    try Terminal.reporting {
      let (left, right) = try sides()
      var (a, b) = (left.stateDict, right.stateDict)
      if let leftModel = left.recognition, let rightModel = right.recognition {
        (a, b) = (try whole(a, leftModel), try whole(b, rightModel))
      }
      let difference = try concerning("\(first) and \(second)") {
        try a.difference(from: b, tolerance: Tolerance(absolute: atol, relative: rtol))
      }
      print(json ? document(difference).text(indented: true) : text(difference))
      if !difference.isEmpty { throw ExitCode(1) }
    }
  }

  /// What one of the files holds.
  private struct Side: Sendable {
    let stateDict: StateDict
    /// Nil where names are compared as they are.
    let recognition: Recognition?

    init(_ path: String, all: Bool) throws {
      let checkpoint = try Checkpoint(path: path)
      stateDict = try all ? checkpoint.allTensors() : checkpoint.resNetStateDict()
      recognition = all ? nil : try? Recognition(stateDict)
    }
  }

  /// Opens both files, each on a core of its own.
  ///
  /// - Throws: the first one's error where both have one.
  private func sides() throws -> (Side, Side) {
    let (paths, all) = ([first, second], all)
    let opened = Locked<[Int: Result<Side, any Error>]>([:])
    DispatchQueue.concurrentPerform(iterations: paths.count) { number in
      let side = Result { try Side(paths[number], all: all) }
      opened.withLock { $0[number] = side }
    }
    let sides = try paths.indices.compactMap { number in try opened.withLock { $0[number] }?.get() }
    return (sides[0], sides[1])
  }

  /// All tensors of a state dict, those of its network under our names.
  private func whole(_ stateDict: StateDict, _ recognition: Recognition) throws -> StateDict {
    try Naming(stateDict, recognition, to: nil, KeyMap()).stateDict(dense: false)
  }

  private func text(_ difference: StateDictDifference) -> String {
    var rows: [[String]] = []
    for name in difference.onlyHere { rows.append([printable(name), "only in \(printable(first))"]) }
    for name in difference.onlyThere { rows.append([printable(name), "only in \(printable(second))"]) }
    for (name, kind) in difference.differing {
      let what =
        switch kind {
        case .shape(let a, let b): "shape \(a), not \(b)"
        case .dtype(let a, let b): "\(a), not \(b)"
        case .bytes: "other bytes"
        case .values(let values):
          "\(grouped(values.count)) value\(values.count == 1 ? "" : "s"), by at most \(short(values.largestAbsolute)) (relative "
            + "\(short(values.largestRelative))) at \(values.index); cosine \(fixed(values.cosine, 6))"
        }
      rows.append([printable(name), what])
    }
    let count = difference.onlyHere.count + difference.onlyThere.count + difference.differing.count
    let total = "\(difference.equal) equal, \(count) different"
    return rows.isEmpty ? total : table(rows, numeric: []) + "\n" + total
  }

  /// Three digits of a number of any size.
  private func short(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return "\(value)" }
    var (digits, exponent) = (value.magnitude, 0)
    while digits >= 10 { (digits, exponent) = (digits / 10, exponent + 1) }
    while digits < 1 { (digits, exponent) = (digits * 10, exponent - 1) }
    return fixed(digits, 2) + "e\(exponent)"
  }

  private func document(_ difference: StateDictDifference) -> JSON {
    let differing: [JSON] = difference.differing.map { name, kind in
      var members: [(name: String, value: JSON)] = [("name", .string(name))]
      switch kind {
      case .shape(let a, let b):
        members += [("what", .string("shape")), ("first", .ints(a)), ("second", .ints(b))]
      case .dtype(let a, let b):
        members += [
          ("what", .string("dtype")), ("first", .string(a.rawValue)), ("second", .string(b.rawValue)),
        ]
      case .bytes: members.append(("what", .string("bytes")))
      case .values(let values):
        members += [
          ("what", .string("values")), ("count", .int(values.count)),
          ("max_abs", .double(values.largestAbsolute)), ("max_rel", .double(values.largestRelative)),
          ("index", .ints(values.index)), ("cosine", .double(values.cosine)),
        ]
      }
      return .object(members)
    }
    return .object([
      ("schema", .int(1)), ("first", .string(first)), ("second", .string(second)),
      ("equal", .int(difference.equal)), ("only_in_first", .strings(difference.onlyHere)),
      ("only_in_second", .strings(difference.onlyThere)), ("differing", .array(differing)),
    ])
  }
}
