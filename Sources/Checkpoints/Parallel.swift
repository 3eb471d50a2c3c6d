// Work on many records at once, on all cores.

import Dispatch

/// Calls `body` with 0 ..< `count` on all cores, begun in order.
func forAll(_ count: Int, _ body: @Sendable (Int) -> Void) {
  DispatchQueue.concurrentPerform(iterations: count) { body($0) }
}

/// Calls `body` with 0 ..< `count` on all cores, begun in order.
///
/// - Throws: the error of the lowest index, so that the same file always gives the same error.
func inParallel(
  _ count: Int, _ body: @Sendable (Int) throws(CheckpointError) -> Void
) throws(CheckpointError) {
  let first = Locked<(index: Int, error: CheckpointError)?>(nil)
  forAll(count) { index in
    do throws(CheckpointError) {
      try body(index)
    } catch {
      first.withLock { first in
        if index < first?.index ?? .max { first = (index, error) }
      }
    }
  }
  if let failure = first.withLock({ $0 }) { throw failure.error }
}
