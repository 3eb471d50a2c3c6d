// How the pixels of each image are divided among threads, for what goes through all of them.

/// The pixels of some images, each image's cut into parts that threads take.
struct PixelParts {
  /// Pixels of an image.
  let pixels: Int
  /// Parts of an image.
  let count: Int

  /// Smaller parts are not worth a task.
  private static let fewestPixels = 8

  /// - Parameter images: how many a step computes at once.
  init(pixels: Int, images: Int, threads: Int) {
    self.pixels = pixels
    // Two for each thread, so that one that is held up leaves its share to the others.
    let wanted = threads == 1 ? 1 : (2 * threads + images - 1) / images
    count = max(1, min(wanted, pixels / PixelParts.fewestPixels))
  }

  /// Calls `body` for each part of each image, on all threads.
  func forEach(
    images: Int, _ crew: ThreadPool.Crew,
    _ body: @escaping (_ image: Int, _ part: Int, _ pixels: Range<Int>) -> Void
  ) {
    crew.run(tasks: images * count) { task, _ in
      let (image, part) = task.quotientAndRemainder(dividingBy: count)
      body(image, part, range(part))
    }
  }

  /// The pixels of a part.
  func range(_ part: Int) -> Range<Int> { part * pixels / count..<(part + 1) * pixels / count }
}
