// What of a file is read to verify it: every run of bytes that has a checksum, and those that tensors look into.

/// The runs of bytes that a file is verified by, and which tensors look into which.
struct BytePlan {
  private(set) var runs: [ByteRun] = []
  /// Why runs were left out.
  private(set) var refusals: [CheckpointError] = []
  private var places: [ObjectIdentifier: Int] = [:]

  /// Everything in the file that has a checksum.
  init(_ checkpoint: Checkpoint) { add(checkpoint) }

  private mutating func add(_ checkpoint: Checkpoint) {
    switch checkpoint.content {
    case .pickles(_, let archive?), .tensors(_, let archive?):
      do throws(CheckpointError) {
        try archive.checkInflation(byteCount: checkpoint.byteCount, checkpoint.limits)
        for record in archive.records { append(ByteRun(source: .record(record)), for: record) }
      } catch {
        refusals.append(error)
        for record in archive.records where record.bytesToInflate == 0 {
          append(ByteRun(source: .record(record)), for: record)
        }
      }
    case .pickles(_, nil): return  // streams and tar archives record no checksums
    case .tensors(let stateDict, nil):
      guard let metadata = RSWMetadata(checkpoint.metadata) else { return }
      do throws(CheckpointError) {
        let recorded = try metadata.recordedChecksums()
        for (name, tensor) in stateDict {
          append(
            ByteRun(source: .tensor(name, tensor), recorded: recorded[CodeUnitKey(name)] ?? "none"),
            for: tensor.storage)
        }
      } catch {
        refusals.append(error)
      }
    case .shards(_, let shards): for shard in shards { add(shard) }
    }
  }

  private mutating func append(_ run: ByteRun, for owner: AnyObject) {
    places[ObjectIdentifier(owner)] = runs.count
    runs.append(run)
  }

  /// Has the values of a tensor looked at.
  mutating func add(_ tensor: Tensor) {
    guard let pattern = NonFinitePattern(tensor.dtype), tensor.elementCount > 0 else { return }
    if run(of: tensor) == nil {
      if let record = tensor.storage.record {
        append(ByteRun(source: .record(record)), for: record)
      } else {
        append(ByteRun(source: .storage(tensor.storage)), for: tensor.storage)
      }
    }
    if let run = run(of: tensor) { runs[run].patterns.insert(pattern) }
  }

  /// The run that a tensor looks into.
  func run(of tensor: Tensor) -> Int? {
    places[ObjectIdentifier(tensor.storage)] ?? tensor.storage.record.flatMap { places[ObjectIdentifier($0)] }
  }
}
