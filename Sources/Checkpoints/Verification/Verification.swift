// Checks a file against itself: the rules of its format, the checksums that it records, the digest in its name, and
// that its values are numbers.

extension Checkpoint {
  /// Checks everything that the file itself allows to be checked.
  ///
  /// The tensors are those of the state dict that is plainly meant or, where none is, all in the file.
  ///
  /// ```swift
  /// let report = try Checkpoint(path: "resnet50-11ad3fa6.pth").verify()
  /// print(report.holds)
  /// ```
  ///
  /// - Throws: ``CheckpointError`` when the tensors can't be found; what is wrong with them is in the report.
  public func verify() throws(CheckpointError) -> VerificationReport { verify(try verifiedTensors()) }

  /// The tensors that ``verify()`` looks at.
  ///
  /// - Throws: what is wrong with the file's structure.
  public func verifiedTensors() throws(CheckpointError) -> StateDict {
    do throws(CheckpointError) {
      return try stateDict()
    } catch  where error.code == .ambiguous || error.code == .noStateDict {
      return try allTensors()
    }
  }

  /// Checks the file, and that the values of these tensors of it are finite.
  ///
  /// | check | a failure is |
  /// |---|---|
  /// | `structure` | a tensor whose bytes are not all there, or not where an rsw file must have them; parts of a sparse or nested tensor that don't fit together; no state dict and no tensor |
  /// | `name` | a digest in the file's name, as torch.hub has it, that does not begin the file's SHA-256 |
  /// | `checksums` | a record or tensor with another CRC-32 than the one recorded |
  /// | `values` | a NaN or an infinity |
  ///
  /// - Parameter beside: makes more checks for the report at the same time, on a core of its own.
  public func verify(
    _ stateDict: StateDict, beside: @escaping @Sendable () -> [VerificationReport.Check] = { [] }
  ) -> VerificationReport {
    let tensors = Checkpoint.leaves(of: stateDict)
    var plan = BytePlan(self)
    for (_, tensor) in tensors { plan.add(tensor) }

    let digests = digests
    let computed = Locked<[Int: String]>([:])
    let more = Locked<[VerificationReport.Check]>([])
    // What takes longest begins first.
    var work = digests.indices.map { index in
      { @Sendable in
        let digest = SHA256.digest(of: digests[index].file)
        computed.withLock { $0[index] = digest }
      }
    }
    work.append {
      let checks = beside()
      more.withLock { $0 = checks }
    }
    let outcomes = BytePass.outcomes(of: plan.runs, beside: work)

    var checks = [structure(stateDict, tensors, plan, outcomes)]
    if let check = names(digests, computed.withLock { $0 }) { checks.append(check) }
    checks.append(checksums(plan, outcomes))
    checks.append(values(tensors, plan, outcomes))
    return VerificationReport(checks + more.withLock { $0 })
  }

  /// The tensors, with the parts of those that are made of several.
  private static func leaves(of stateDict: StateDict) -> [StateDict.Element] {
    stateDict.flatMap { name, tensor in
      tensor.layout == .strided
        ? [(name, tensor)] : tensor.components.map { ("\(name) (\($0.name))", $0.tensor) }
    }
  }

  // MARK: Structure

  private func structure(
    _ stateDict: StateDict, _ tensors: [StateDict.Element], _ plan: BytePlan, _ outcomes: [ByteRunOutcome]
  ) -> VerificationReport.Check {
    var findings: [VerificationReport.Finding] = []
    var seen: Set<ObjectIdentifier> = []
    for (name, tensor) in tensors where tensor.elementCount > 0 {
      // What can't be read at all is told with the checksums, or with another tensor of the same storage.
      guard seen.insert(ObjectIdentifier(tensor.storage)).inserted,
        plan.run(of: tensor).map({ outcomes[$0].error == nil }) ?? true
      else { continue }
      do throws(CheckpointError) {
        let bytes = try tensor.storage.bytes()
        if container == .rsw, member == nil, !bytes.isAligned(to: RSWMetadata.alignment) {
          findings.append(
            .init(
              .failure, name,
              "does not begin on a boundary of \(RSWMetadata.alignment) bytes, as an rsw file has it. Convert the weights again."
            ))
        }
      } catch {
        findings.append(.init(.failure, name, error.message))
      }
    }
    for (name, tensor) in stateDict where tensor.layout != .strided {
      guard
        tensor.components.allSatisfy({ plan.run(of: $0.tensor).map { outcomes[$0].error == nil } ?? true })
      else { continue }
      do throws(CheckpointError) {
        try tensor.checkParts(limits: limits)
      } catch {
        findings.append(.init(.failure, name, error.message))
      }
    }
    if stateDict.isEmpty {
      let isMeant = (try? self.stateDict())?.isEmpty ?? false
      findings.append(
        isMeant
          ? .init(.remark, nil, "its state dict has no tensors, so that nothing could be verified")
          : .init(
            .failure, nil, "there is no state dict and no tensor in it: what was saved is something else"))
    }
    for (name, tensor) in stateDict where tensor.layout == .meta {
      findings.append(.init(.remark, name, "has a shape but no elements: it was saved from the meta device"))
    }
    for global in globals where global.isDangerous {
      findings.append(
        .init(
          .remark, nil, "names \(printable(global.name)), which could run code where Python loads this file"))
    }
    return .init(
      "structure", count: stateDict.count, unit: "tensors", byteCount: byteCount,
      outcome: findings.contains { $0.severity == .failure }
        ? "not as \(container.rawValue) has it" : "\(container.rawValue), as its format has it",
      findings: findings)
  }

  // MARK: The name

  private typealias NamedDigest = (name: String, digits: String, file: Bytes)

  /// The digests in the names of this file and of its shards.
  private var digests: [NamedDigest] {
    var checkpoints = [self]
    if case .shards(_, let shards) = content { checkpoints += shards }
    return checkpoints.compactMap { checkpoint in
      let name = String(checkpoint.path.split(separator: "/").last ?? "")
      return SHA256.digits(inName: name).map { (name, $0, checkpoint.file) }
    }
  }

  /// Nil where no name has a digest.
  private func names(_ digests: [NamedDigest], _ computed: [Int: String]) -> VerificationReport.Check? {
    guard let first = digests.first else { return nil }
    let findings = digests.enumerated().compactMap { index, named -> VerificationReport.Finding? in
      let digest = computed[index] ?? ""
      guard !digest.utf8.starts(with: named.digits.utf8) else { return nil }
      return .init(
        .failure, nil,
        "the name \(printable(named.name)) has \(named.digits), but the file's SHA-256 begins with "
          + "\(digest.prefix(named.digits.count)): it is damaged or another one. Get it again, or rename it.")
    }
    let outcome =
      !findings.isEmpty
      ? "not the SHA-256 that the name has"
      : digests.count == 1
        ? "SHA-256 begins with \(first.digits), as the name has it" : "SHA-256 as the names have it"
    return .init(
      "name", count: digests.count, unit: "files",
      byteCount: digests.reduce(0) { $0.saturatingAdding($1.file.count) }, outcome: outcome,
      findings: findings)
  }

  // MARK: Checksums

  private func checksums(_ plan: BytePlan, _ outcomes: [ByteRunOutcome]) -> VerificationReport.Check {
    let checked = plan.runs.filter(\.hasChecksum)
    var findings = plan.refusals.map { VerificationReport.Finding($0) }
    // A run without a checksum can fail too: it can't be read.
    findings += outcomes.compactMap(\.error).map { VerificationReport.Finding($0) }
    let without = plan.runs.count { !$0.hasChecksum && $0.isRecord }
    let outcome =
      !findings.isEmpty
      ? "\(findings.count) not as recorded"
      : checked.isEmpty
        ? "none, as \(container.rawValue) records none"
        : "as recorded" + (without > 0 ? "; none recorded for \(without) more" : "")
    return .init(
      "checksums", count: checked.count, unit: checked.contains { !$0.isRecord } ? "tensors" : "records",
      byteCount: checked.reduce(0) { $0.saturatingAdding($1.byteCount) }, outcome: outcome, findings: findings
    )
  }

  // MARK: Values

  private func values(
    _ tensors: [StateDict.Element], _ plan: BytePlan, _ outcomes: [ByteRunOutcome]
  ) -> VerificationReport.Check {
    let checked = tensors.filter { NonFinitePattern($0.tensor.dtype) != nil }
    let suspects = checked.filter { plan.run(of: $0.tensor).map { outcomes[$0].isSuspect } ?? false }
    // Many tensors may look into the same memory: not every one of a small file's is gone through.
    var rest = mostWritten
    let isNear = suspects.map { _, tensor in
      rest -= min(rest, (try? tensor.unexpanded())?.byteCount ?? .max)
      return rest > 0
    }
    let found = Locked<[Int: VerificationReport.Finding]>([:])
    forAll(suspects.count) { index in
      let (name, tensor) = suspects[index]
      do throws(CheckpointError) {
        guard isNear[index] else {
          found.withLock {
            $0[index] = .init(.failure, name, "shares its memory with values that are not finite")
          }
          return
        }
        guard let (nonFinite, place) = try tensor.nonFinite(limits: limits), let first = nonFinite.first
        else { return }
        let finding = VerificationReport.Finding(
          .failure, name, index: place,
          "is \(first.value) (\(nonFinite.nans) NaN and \(nonFinite.infinities) infinities in all)")
        found.withLock { $0[index] = finding }
      } catch {
        found.withLock { $0[index] = .init(.failure, name, error.message) }
      }
    }
    let findings = found.withLock { found in suspects.indices.compactMap { found[$0] } }
    return .init(
      "values", count: checked.count, unit: "tensors",
      valueCount: checked.reduce(0) { $0.saturatingAdding($1.tensor.elementCount) },
      outcome: findings.isEmpty ? "finite" : "\(findings.count) hold values that are not finite",
      findings: findings)
  }
}
