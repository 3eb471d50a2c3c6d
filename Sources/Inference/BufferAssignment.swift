// Which buffer holds which result: a buffer is used again as soon as nobody needs its content.

/// Buffers for the results of a plan's steps.
struct BufferAssignment: Sendable {
  /// For each node, the buffer of its result; -1 for nodes that are fused away.
  private(set) var buffer: [Int]
  /// For each buffer, its size in Floats.
  private(set) var sizes: [Int] = []

  /// - Parameters:
  ///   - sizes: for each node, the size of its result.
  ///   - input: the node that is there before the first step.
  ///   - kept: nodes whose results must be there after the last step.
  init(_ steps: [Plan.Step], sizes nodeSizes: [Int], input: Int, kept: Set<Int>) {
    buffer = [Int](repeating: -1, count: nodeSizes.count)
    var lastUse: [Int: Int] = [:]
    for (position, step) in steps.enumerated() {
      for node in step.inputs { lastUse[node] = position }
    }
    for node in kept { lastUse[node] = steps.count }

    var free: [Int] = []
    buffer[input] = take(nodeSizes[input], from: &free)
    for (position, step) in steps.enumerated() {
      buffer[step.output] = take(nodeSizes[step.output], from: &free)
      for node in Set(step.inputs + [step.output]).sorted() where lastUse[node] ?? -1 <= position {
        free.append(buffer[node])
      }
    }
  }

  /// The smallest free buffer that is large enough, else the largest one grown, else a new one.
  private mutating func take(_ size: Int, from free: inout [Int]) -> Int {
    let bySize = free.sorted { (sizes[$0], $0) < (sizes[$1], $1) }
    if let choice = bySize.first(where: { sizes[$0] >= size }) ?? bySize.last {
      sizes[choice] = max(sizes[choice], size)
      free.removeAll { $0 == choice }
      return choice
    }
    sizes.append(size)
    return sizes.count - 1
  }
}
