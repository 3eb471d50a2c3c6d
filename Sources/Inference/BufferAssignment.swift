// Which buffer holds which result: a buffer is used again as soon as nobody needs its content.

/// Buffers for the results of a plan's steps.
///
/// A segment's steps run for some images at a time, over and over until the batch is done. A result
/// that only they use needs room for those images alone; what comes from or goes to other segments
/// needs room for the batch, and must stay as long as the segment runs.
struct BufferAssignment: Sendable {
  /// For each node, the buffer of its result; -1 for nodes that are fused away.
  private(set) var buffer: [Int]
  /// For each node, whether its buffer holds the images of a chunk, not of the batch.
  private(set) var isLocal: [Bool]
  /// For each buffer, its size in Floats.
  private(set) var sizes: [Int] = []

  /// - Parameters:
  ///   - imageSizes: for each node, Floats of its result for an image.
  ///   - input: the node that is there before the first step.
  ///   - kept: nodes whose results must be there after the last step.
  init(_ segments: [PlanOutline.Segment], imageSizes: [Int], images: Int, input: Int, kept: Set<Int>) {
    buffer = [Int](repeating: -1, count: imageSizes.count)
    isLocal = [Bool](repeating: false, count: imageSizes.count)
    /// The segment of the last step that uses a node; kept nodes outlive all.
    var lastSegment: [Int: Int] = [:]
    for (position, segment) in segments.enumerated() {
      for step in segment.steps {
        for node in step.inputs { lastSegment[node] = position }
      }
    }
    for node in kept { lastSegment[node] = segments.count }

    var free: [Int] = []
    buffer[input] = take(imageSizes[input] * images, from: &free)
    for (position, segment) in segments.enumerated() {
      var lastUse: [Int: Int] = [:]
      for (index, step) in segment.steps.enumerated() {
        for node in step.inputs { lastUse[node] = index }
        isLocal[step.output] = lastSegment[step.output] ?? position == position && segment.images < images
      }
      // What is there for the whole segment: with one chunk, nothing has to be.
      let isChunked = segment.images < images
      if isChunked {
        for step in segment.steps where !isLocal[step.output] {
          buffer[step.output] = take(imageSizes[step.output] * images, from: &free)
        }
      }
      for (index, step) in segment.steps.enumerated() {
        /// Whether a node's buffer may be used for something else after this step.
        func ends(_ node: Int) -> Bool {
          lastUse[node] ?? -1 <= index && (lastSegment[node] ?? position) <= position
            && (!isChunked || isLocal[node])
        }
        if buffer[step.output] < 0 {
          if let place = step.replaceable.first(where: { ends($0) && isLocal[$0] == isLocal[step.output] }) {
            buffer[step.output] = buffer[place]  // it is computed where that lies
          } else {
            let count = isLocal[step.output] ? segment.images : images
            buffer[step.output] = take(imageSizes[step.output] * count, from: &free)
          }
        }
        for node in Set(step.inputs + [step.output]).sorted()
        where ends(node) && (node == step.output || buffer[node] != buffer[step.output]) {
          free.append(buffer[node])
        }
      }
      if isChunked {
        let inputs = Set(segment.steps.flatMap(\.inputs)).sorted()
        for node in inputs where !isLocal[node] && (lastSegment[node] ?? position) <= position {
          free.append(buffer[node])
        }
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
