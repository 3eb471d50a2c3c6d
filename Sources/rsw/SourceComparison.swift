// A converted file held against what it was converted from, tensor by tensor and byte by byte.

import Checkpoints
import ResNets

struct SourceComparison {
  private let selection: SelectionOptions
  private let hints: Hints

  /// - Parameters:
  ///   - selection: which part of the source was converted.
  ///   - hints: what was known about the source beside its file.
  init(_ selection: SelectionOptions, _ hints: Hints) { (self.selection, self.hints) = (selection, hints) }

  /// Compares `tensors`, those of `checkpoint`, with the file at the path `source` under the names that a network's
  /// tensors get when they are converted.
  func check(
    _ checkpoint: Checkpoint, _ tensors: StateDict, _ recognition: Recognition?, source path: String
  ) throws -> VerificationReport.Check {
    let source = try selection.checkpoint.open(path)
    let (theirs, difference) = try concerning(path) {
      let found = try selection.stateDict(of: source)
      let network = try? Recognition(found, hints: hints.and(source))
      var theirs = try Naming(found, network, to: nil, hints.map).stateDict(dense: false)
      let ours = try Naming(tensors, recognition, to: nil, KeyMap()).stateDict(dense: false)
      // Ordinary tensors may have been made of quantized and sparse ones.
      for (name, tensor) in theirs where tensor.isSpecial && ours[name]?.isSpecial == false {
        theirs.update(name, try tensor.dense())
      }
      return (theirs, try ours.exactDifference(from: theirs))
    }
    var findings = recorded(checkpoint, source)
    findings += difference.onlyThere.map { .init(.failure, $0, "is missing: only the source has it") }
    findings += difference.onlyHere.map { .init(.failure, $0, "is not in the source") }
    findings += difference.differing.map { name, kind in
      switch kind {
      case .shape(let ours, let theirs): .init(.failure, name, "has shape \(ours), the source's \(theirs)")
      case .dtype(let ours, let theirs): .init(.failure, name, "is \(ours), the source's \(theirs)")
      case .values, .bytes: .init(.failure, name, "has other bytes than the source's")
      }
    }
    let failures = findings.count { $0.severity == .failure }
    return .init(
      "source", count: theirs.count, unit: "tensors", byteCount: theirs.byteCount,
      outcome: failures == 0
        ? "byte for byte those of \(printable(path))"
        : "\(failures) difference\(failures == 1 ? "" : "s") from \(printable(path))",
      findings: findings)
  }

  /// What an rsw file says of its source that is not so.
  private func recorded(_ checkpoint: Checkpoint, _ source: Checkpoint) -> [VerificationReport.Finding] {
    func value(_ name: String) -> String? { checkpoint.metadata.first { $0.name == name }?.value }
    var findings: [VerificationReport.Finding] = []
    if let size = value("source_bytes"), size != String(source.byteCount) {
      findings.append(
        .init(
          .failure, nil,
          "the source had \(printable(size)) bytes when it was converted, and has \(source.byteCount)"))
    }
    let name = String((source.member ?? source.path).split(separator: "/").last ?? "")
    if let recorded = value("source"), recorded != name,
      recorded != source.path.split(separator: "/").last ?? ""
    {
      findings.append(
        .init(.remark, nil, "the source was called \(printable(recorded)) when it was converted"))
    }
    return findings
  }
}

extension Tensor {
  /// Whether it is more than a view of one storage.
  fileprivate var isSpecial: Bool { layout != .strided || quantization != nil }
}
