// What was checked of a file, and what was found.

/// The outcome of ``Checkpoint/verify()``: one entry for each check, in the order in which they are told.
public struct VerificationReport: Sendable {
  /// What one check looked at and found.
  public struct Check: Sendable {
    /// The check's name, such as `checksums`.
    public let name: String
    /// How many things were looked at.
    public let count: Int
    /// What they are, in the plural, such as `records`.
    public let unit: String
    /// How large they are together; nil where that says nothing.
    public let byteCount: Int?
    /// How many values they hold; nil where values were not looked at.
    public let valueCount: Int?
    /// What was found, in a few words, such as `as recorded`.
    public let outcome: String
    /// What does not hold, or is worth a remark.
    public let findings: [Finding]

    /// Whether nothing was found that is a failure.
    public var holds: Bool { findings.allSatisfy { $0.severity == .remark } }

    /// A check with what it found.
    public init(
      _ name: String, count: Int, unit: String, byteCount: Int? = nil, valueCount: Int? = nil,
      outcome: String, findings: [Finding] = []
    ) {
      self.name = name
      self.count = count
      self.unit = unit
      self.byteCount = byteCount
      self.valueCount = valueCount
      self.outcome = outcome
      self.findings = findings
    }
  }

  /// One thing that was found.
  public struct Finding: Sendable {
    /// How much a finding matters.
    public enum Severity: String, Sendable {
      /// The check does not hold.
      case failure
      /// Unusual, but as it may be meant.
      case remark
    }

    /// How much it matters.
    public let severity: Severity
    /// The tensor or record; nil where the whole file is concerned.
    public let subject: String?
    /// The element of the tensor, or the first of several.
    public let index: [Int]?
    /// What it is, in a sentence that goes on after the subject.
    public let message: String

    /// A finding about a tensor, a record, or the whole file.
    public init(_ severity: Severity, _ subject: String?, index: [Int]? = nil, _ message: String) {
      self.severity = severity
      self.subject = subject
      self.index = index
      self.message = message
    }

    /// What reading a part of the file threw.
    package init(_ error: CheckpointError) {
      self.init(.failure, error.record ?? error.key, error.message)
    }
  }

  /// The checks, each with what it found.
  public var checks: [Check]

  /// A report of checks.
  public init(_ checks: [Check]) { self.checks = checks }

  /// Whether every check holds.
  public var holds: Bool { checks.allSatisfy(\.holds) }
}
