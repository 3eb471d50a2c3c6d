// What can be checked of a network's weights beyond that they are numbers: variances that none can be, and channels
// that say nothing.

public import Checkpoints

extension Recognition {
  /// Checks that concern the network; each names tensors as the file does.
  ///
  /// | check | finding |
  /// |---|---|
  /// | `variances` | a running variance below 0, a failure |
  /// | `channels` | channels that give the same for every image, as their filter is zeros or their norm's scale is 0; a remark, for training may begin or end so |
  public func checks() -> [VerificationReport.Check] {
    var names: [CodeUnitKey: String] = [:]
    for entry in mapping.entries { names[CodeUnitKey(entry.to)] = entry.from }
    func original(_ name: String) -> String { names[CodeUnitKey(name)] ?? name }

    var variances = Findings(), channels = Findings()
    for (name, tensor) in stateDict where name.hasSuffix(".running_var") || name.hasSuffix(".weight") {
      do throws(CheckpointError) {
        if name.hasSuffix(".running_var") {
          variances.add(tensor, try Recognition.negativeVariance(original(name), tensor))
        } else if tensor.shape.count == 4, tensor.dtype.isFloatingPoint {
          channels.add(tensor, try Recognition.deadFilters(original(name), tensor))
        } else if tensor.shape.count == 1 {
          channels.add(tensor, try Recognition.zeroScales(original(name), tensor))
        }
      } catch {
        // What is wrong with it is found where its bytes are checked.
        continue
      }
    }
    var checks: [VerificationReport.Check] = []
    if variances.tensors > 0 {
      checks.append(
        .init(
          "variances", count: variances.tensors, unit: "norms", valueCount: variances.channels,
          outcome: variances.list.isEmpty ? "none negative" : "\(variances.list.count) with negative ones",
          findings: variances.list))
    }
    checks.append(
      .init(
        "channels", count: channels.tensors, unit: "layers", valueCount: channels.channels,
        outcome: channels.list.isEmpty ? "none dead" : "\(channels.list.count) with dead channels",
        findings: channels.list))
    return checks
  }

  private struct Findings {
    var tensors = 0
    var channels = 0
    var list: [VerificationReport.Finding] = []

    mutating func add(_ tensor: Tensor, _ finding: VerificationReport.Finding?) {
      tensors += 1
      channels += tensor.shape.first ?? 0
      if let finding { list.append(finding) }
    }
  }

  private static func negativeVariance(
    _ name: String, _ tensor: Tensor
  ) throws(CheckpointError) -> VerificationReport.Finding? {
    let values = try tensor.floats()
    guard let first = values.firstIndex(where: { $0 < 0 }) else { return nil }
    let count = values.count { $0 < 0 }
    return .init(
      .failure, name, index: tensor.index(ofElement: first),
      "is \(values[first]), and no variance is negative (\(count) of \(values.count))")
  }

  private static func zeroScales(
    _ name: String, _ tensor: Tensor
  ) throws(CheckpointError) -> VerificationReport.Finding? {
    let values = try tensor.floats()
    let dead = values.indices.filter { values[$0] == 0 }
    guard let first = dead.first else { return nil }
    return .init(
      .remark, name, index: [first],
      dead.count == values.count
        ? "and all other scales are 0: the branch adds nothing, as where training begins so"
        : "is 0, so that the channel is the same for every image (\(dead.count) of \(values.count))")
  }

  private static func deadFilters(
    _ name: String, _ tensor: Tensor
  ) throws(CheckpointError) -> VerificationReport.Finding? {
    let dead = try tensor.zeroRows()
    guard let first = dead.first else { return nil }
    return .init(
      .remark, name, index: [first],
      "is a filter of zeros, so that the channel is the same for every image (\(dead.count) of \(tensor.shape[0]))"
    )
  }
}
