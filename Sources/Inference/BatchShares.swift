// A batch of many images is shared out as images: each thread takes some of them through all steps by itself. Nothing is
// handed from core to core then, and nobody waits between steps.

/// The parts of a batch that are computed independently of each other, each by one thread; a single one for all threads
/// where there are few images.
package struct BatchShares: Sendable {
  /// Of the batch.
  package let images: Int
  /// Images of a share; the last one may have fewer.
  package let size: Int

  /// With fewer images for each thread, weights are read too often for what is done with them.
  private static let fewestImages = 4
  /// All threads together may wait for one image in so many, as the last share is smaller.
  private static let evenness = 16

  package init(images: Int, threads: Int) {
    self.images = images
    let size = (images + threads - 1) / threads
    let isEven = (size * threads - images) * BatchShares.evenness <= images
    self.size = threads > 1 && size >= BatchShares.fewestImages && isEven ? size : images
  }

  package var count: Int { size == 0 ? 1 : (images + size - 1) / size }

  /// How many images are computed at once, where that is `chunk` but for the last ones of a share. It is not said that fewer
  /// need less scratch: they may be cut into fewer and larger blocks.
  func counts(inChunksOf chunk: Int) -> Set<Int> {
    Set([chunk] + [size, self[count - 1].count].map { $0 % chunk }.filter { $0 > 0 })
  }

  /// The images of a share.
  package subscript(index: Int) -> Range<Int> { index * size..<min(images, (index + 1) * size) }
}
