// A model on many photos. Each thread decodes and prepares the images of a batch, then runs the model on them, so that one
// thread computes while another decodes, none waits for another, and memory holds one batch a thread. Where there are
// fewer batches than CPUs, a pass has several threads.

import Checkpoints
import Dispatch
import Images
import Inference
import NN
import ResNets

struct PhotoRun {
  let network: ResNet
  let preprocessing: Preprocessing
  let paths: [String]
  /// Images of a pass; nil to choose.
  let batch: Int?
  /// The module whose output is wanted; nil for the logits.
  let module: String?

  /// One image's part of the output.
  struct Row {
    let values: ArraySlice<Float>
    /// Without the dimension of the batch.
    let shape: [Int]
  }

  /// What threads share.
  private struct State<Result> {
    var next = 0
    /// What has been found, until it is its turn.
    var waiting: [Int: Swift.Result<Result, any Error>] = [:]
    var reported = 0
    var failure: (any Error)?
  }

  /// More images at once take more memory and are no faster.
  private static var usualBatch: Int { 4 }

  /// Prepared images of a batch take a gigabyte at most.
  private static var mostValues: Int { 1 << 28 }

  /// Runs the model on all images.
  ///
  /// - Parameters:
  ///   - body: what is made of an image's output, on any thread.
  ///   - report: is called for one image at a time, in order, with that or with what is wrong with the image.
  /// - Throws: what concerns the model.
  func forEach<Result: Sendable>(
    _ body: @escaping @Sendable (Row) -> Result,
    report: @escaping (_ index: Int, Swift.Result<Result, any Error>) -> Void
  ) throws {
    guard !paths.isEmpty else { return }
    let threads = network.threadCount
    let most = max(1, PhotoRun.mostValues / preprocessing.count)
    let batch = min(batch ?? PhotoRun.usualBatch, (paths.count + threads - 1) / threads, most)
    let workers = min(threads, (paths.count + batch - 1) / batch)
    var network = network
    network.threadCount = max(1, threads / workers)

    let state = Locked(State<Result>())
    let reporting = Reporting(report)
    let work = Work(run: self, network: network, batch: batch)
    DispatchQueue.concurrentPerform(iterations: workers) { _ in
      while let images = state.withLock({ work.next(&$0.next, $0.failure) }) {
        do {
          let results = try work.results(of: images, body)
          state.withLock { state in
            for (index, result) in zip(images, results) { state.waiting[index] = result }
            while let result = state.waiting.removeValue(forKey: state.reported) {
              reporting.call(state.reported, result)
              state.reported += 1
            }
          }
        } catch {
          state.withLock { $0.failure = $0.failure ?? error }
        }
      }
    }
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }
}

extension PhotoRun {
  /// What a thread does.
  fileprivate struct Work: Sendable {
    let run: PhotoRun
    let network: ResNet
    let batch: Int

    /// The images to be done next; nil when there are no more or something failed.
    func next(_ next: inout Int, _ failure: (any Error)?) -> Range<Int>? {
      guard next < run.paths.count, failure == nil else { return nil }
      let images = next..<min(next + batch, run.paths.count)
      next = images.upperBound
      return images
    }

    func results<Result>(
      of images: Range<Int>, _ body: (Row) -> Result
    ) throws -> [Swift.Result<Result, any Error>] {
      let prepare = run.preprocessing
      var values = [Float](repeating: 0, count: images.count * prepare.count)
      // An image that can't be read is all zeros, so that batches have one size, and its output is left out.
      let failures = images.enumerated().map { place, index -> (any Error)? in
        let path = run.paths[index]
        do {
          try prepare(ImageFile(path: path), to: &values, at: place * prepare.count)
          return nil
        } catch {
          return error
        }
      }
      if failures.allSatisfy({ $0 != nil }) { return failures.compactMap { $0.map { .failure($0) } } }
      let input = try Tensor(shape: [images.count, 3, prepare.crop, prepare.crop], values)
      let output = try output(input)
      let shape = Array(output.shape.dropFirst())
      let count = shape.reduce(1, *)
      let floats = try output.floats()
      return failures.enumerated().map { place, failure in
        if let failure { return .failure(failure) }
        return .success(body(Row(values: floats[place * count..<(place + 1) * count], shape: shape)))
      }
    }

    private func output(_ input: Tensor) throws -> Tensor {
      switch run.module {
      case nil: try network(input)
      case FeaturePlace.input?: input
      case let module?: try network.outputs(input, at: [module])[0]
      }
    }
  }

  /// A function that is called by one thread at a time, under a lock.
  private final class Reporting<Result>: @unchecked Sendable {
    private let report: (Int, Swift.Result<Result, any Error>) -> Void
    init(_ report: @escaping (Int, Swift.Result<Result, any Error>) -> Void) { self.report = report }
    func call(_ index: Int, _ result: Swift.Result<Result, any Error>) { report(index, result) }
  }
}

/// The outputs that features are taken from, beside modules.
enum FeaturePlace {
  /// The prepared images themselves.
  static let input = "input"
}
