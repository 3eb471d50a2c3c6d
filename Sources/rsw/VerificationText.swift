// How a verification is told: a line for each check, with what was found below it.

import Checkpoints

struct VerificationText {
  private let report: VerificationReport

  init(_ report: VerificationReport) { self.report = report }

  /// More findings of one check than this are counted only.
  private static let mostFindings = 10

  var text: String {
    let width = report.checks.map(\.name.count).max() ?? 0
    var lines: [String] = []
    for check in report.checks {
      lines.append(
        check.name + String(repeating: " ", count: width - check.name.count) + "  " + subject(of: check)
          + ": "
          + check.outcome)
      lines += check.findings.prefix(VerificationText.mostFindings).map { "  " + line($0) }
      let rest = check.findings.count - VerificationText.mostFindings
      if rest > 0 { lines.append("  … and \(grouped(rest)) more (--json lists all)") }
    }
    let failed = report.checks.filter { !$0.holds }.map(\.name)
    lines.append(
      failed.isEmpty
        ? "verified: all \(report.checks.count) checks hold" : "FAILED: \(failed.joined(separator: ", "))")
    return lines.joined(separator: "\n")
  }

  /// What a check looked at.
  private func subject(of check: VerificationReport.Check) -> String {
    let unit = check.count == 1 && check.unit.hasSuffix("s") ? String(check.unit.dropLast()) : check.unit
    var parts = ["\(grouped(check.count)) \(unit)"]
    if let values = check.valueCount { parts.append("\(grouped(values)) value\(values == 1 ? "" : "s")") }
    if let bytes = check.byteCount { parts.append(byteSize(bytes)) }
    return parts.joined(separator: ", ")
  }

  private func line(_ finding: VerificationReport.Finding) -> String {
    let place = [finding.subject.map { printable($0) }, finding.index.map { "\($0)" }].compactMap { $0 }
    let severity = finding.severity == .remark ? "remark: " : ""
    return severity + (place + [finding.message]).joined(separator: " ")
  }
}

extension VerificationReport.Check {
  /// The check for programs.
  var json: JSON {
    .object([
      ("check", .string(name)), ("holds", .bool(holds)), ("count", .int(count)), ("unit", .string(unit)),
      ("bytes", byteCount.map { .int($0) } ?? .null), ("values", valueCount.map { .int($0) } ?? .null),
      ("outcome", .string(outcome)),
      (
        "findings",
        .array(
          findings.map {
            .object([
              ("severity", .string($0.severity.rawValue)),
              ("subject", $0.subject.map { .string($0) } ?? .null),
              ("index", $0.index.map { .ints($0) } ?? .null), ("message", .string($0.message)),
            ])
          })
      ),
    ])
  }
}
