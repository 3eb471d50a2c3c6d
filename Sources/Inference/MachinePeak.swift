// What the machine can do at most, to say how much of it a model uses.

import Vectors

package enum MachinePeak {
  /// Multiplications and additions a second that so many threads do at once, in 10⁹: the best of some
  /// runs of a few milliseconds that touch no memory.
  package static func gigaflops(threads: Int) -> Double {
    let kernels = VectorKernels.chosen
    let rounds = 2_000_000
    let results = FloatBuffer(count: threads * 16)
    let clock = ContinuousClock()
    let seconds = (0..<8).map { _ in
      ThreadPool.withThreads(threads).pass { crew in
        clock.measure {
          crew.run(tasks: threads) { task, _ in kernels.peak(rounds, 0.5, results.start + task * 16) }
        } / .seconds(1)
      }
    }
    let operations = Double(threads * rounds * PeakKernel.operationsOfRound * kernels.width)
    return operations / (seconds.min() ?? .infinity) / 1e9
  }

  /// The instruction set of the kernels that this CPU runs.
  package static var instructions: String { VectorKernels.chosen.name }
}
