// Our own threads. A forward pass is some sixty short steps, each split into tasks: handing those
// out must cost a microsecond, not a trip through the system.
//
// The tasks of a step are dealt out in stretches, one for each thread, and a thread that is done with its own takes
// from the others'. So the same thread works on the same part of an image from step to step, and finds in its
// own caches what it wrote: cores may have no cache in common.
//
// One atomic word for each stretch, its ticket, holds the number of the current step, where the stretch ends and which
// task is next. Taking a task is one atomic addition, and what comes back says which step it belongs to, so a
// worker that wakes late can never run a task of a step that is over.
//
//   ticket = [ step: 24 bits | end: 20 bits | next: 20 bits ]
//
// Workers spin while a pass runs, and sleep between passes. One that wakes up on the caller's CPU leaves
// it: the system may take a hundred milliseconds to see that another one is idle.

import Checkpoints
import Synchronization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

/// A fixed number of threads, the caller's included, that work through the tasks of a step together.
package final class ThreadPool: Sendable {
  /// The threads that work on a step, the caller among them.
  package let threadCount: Int
  private let shared: Shared

  /// The pool with this many threads; there is one for each number, for the life of the process.
  package static func withThreads(_ count: Int) -> ThreadPool {
    pools.withLock { pools in
      if let pool = pools[count] { return pool }
      let pool = ThreadPool(threadCount: count)
      pools[count] = pool
      return pool
    }
  }

  private static let pools = Locked<[Int: ThreadPool]>([:])

  /// The number of CPUs that this process may use.
  package static let availableCPUs = max(1, ProcessInfo.processInfo.activeProcessorCount)

  private init(threadCount: Int) {
    self.threadCount = max(1, threadCount)
    shared = Shared(threadCount: self.threadCount)
    for worker in 1..<self.threadCount { Shared.startWorker(worker, shared) }
  }

  /// Calls `body` with a crew to run steps with.
  ///
  /// The crew is all threads or, when another pass has them, the caller alone; results are the
  /// same either way, as tasks are cut by thread count, not by who takes them.
  package func pass<Result, Failure: Error>(
    _ body: (Crew) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    guard threadCount > 1, shared.beginPass() else { return try body(.lone) }
    defer { shared.endPass() }
    return try body(Crew(shared: shared))
  }

  /// Those who work on the steps of one pass.
  package struct Crew {
    fileprivate let shared: Shared?

    /// The thread that calls, alone.
    package static let lone = Crew(shared: nil)

    /// Calls `body(task, worker)` for every task and returns when all are done.
    ///
    /// No two calls at the same time have the same `worker`, which is below the pool's thread count.
    package func run(tasks: Int, _ body: @escaping (_ task: Int, _ worker: Int) -> Void) {
      if let shared, tasks > 1 {
        shared.run(tasks: tasks, body)
      } else {
        for task in 0..<tasks { body(task, 0) }
      }
    }
  }
}

/// The ticket of one stretch, on cache lines of its own.
private struct Ticket: ~Copyable {
  let word = Atomic<UInt64>(0)
  private let rest: (SIMD8<UInt64>, SIMD8<UInt64>) = (.zero, .zero)
}

/// What the threads of a pool share. `job` is the only plain variable: the caller writes it before
/// it publishes tickets, and a worker reads it only after it took a task from one of them, which
/// the caller waits for.
private final class Shared: @unchecked Sendable {
  private let threadCount: Int
  private let tickets: UnsafeMutablePointer<Ticket>
  private let completed = Atomic<Int>(0)
  private var job: (Int, Int) -> Void = { _, _ in }
  private var step: UInt64 = 0

  private let isBusy = Atomic<Bool>(false)
  private let isActive = Atomic<Bool>(false)
  /// Where the caller was when the pass began; -1 where that is not known.
  private let callerCPU = Atomic<CInt>(-1)
  private let allowedCPUs = ProcessorAffinity.allowedCPUs()
  private var mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  static let fieldBits: UInt64 = 20
  static let fieldMask: UInt64 = (1 << fieldBits) - 1
  /// Some tens of microseconds: longer than a caller takes between the passes of a loop.
  private static let spinsBeforeSleep = 20_000
  private static let spinsBeforeMove = 1_000

  init(threadCount: Int) {
    self.threadCount = threadCount
    tickets = .allocate(capacity: threadCount)
    for thread in 0..<threadCount { (tickets + thread).initialize(to: Ticket()) }
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
  }

  // MARK: The caller's side

  func beginPass() -> Bool {
    guard isBusy.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged
    else {
      return false
    }
    callerCPU.store(ProcessorAffinity.currentCPU, ordering: .relaxed)
    pthread_mutex_lock(mutex)
    isActive.store(true, ordering: .releasing)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
    return true
  }

  func endPass() {
    job = { _, _ in }
    isActive.store(false, ordering: .releasing)
    isBusy.store(false, ordering: .releasing)
  }

  func run(tasks: Int, _ body: @escaping (Int, Int) -> Void) {
    // A ticket counts to a million: more tasks, such as the rows of a very high image, take turns.
    let most = Int(Shared.fieldMask)
    for start in stride(from: 0, to: tasks, by: most) {
      runTurn(tasks: min(most, tasks - start)) { task, worker in body(start + task, worker) }
    }
  }

  private func runTurn(tasks: Int, _ body: @escaping (Int, Int) -> Void) {
    job = body
    completed.store(0, ordering: .relaxed)
    step &+= 1
    for thread in 0..<threadCount {
      let (next, end) = (tasks * thread / threadCount, tasks * (thread + 1) / threadCount)
      tickets[thread].word.store(
        step << (2 * Shared.fieldBits) | UInt64(end) << Shared.fieldBits | UInt64(next), ordering: .releasing)
    }
    while performTask(worker: 0) {}
    while completed.load(ordering: .acquiring) < tasks {}
  }

  // MARK: Everyone's side

  /// Takes the next task, the worker's own before the others', if there is one, and performs it.
  private func performTask(worker: Int) -> Bool {
    let own = tickets[worker].word.load(ordering: .relaxed)
    for distance in 0..<threadCount {
      let thread = worker + distance < threadCount ? worker + distance : worker + distance - threadCount
      let ticket = distance == 0 ? own : tickets[thread].word.load(ordering: .relaxed)
      // Where the caller has not come to the worker's own ticket yet, it waits for that.
      guard Shared.step(ticket) == Shared.step(own), Shared.hasTask(ticket) else { continue }
      let taken = tickets[thread].word.add(1, ordering: .acquiringAndReleasing).oldValue
      guard Shared.hasTask(taken) else { continue }
      job(Int(taken & Shared.fieldMask), worker)
      completed.add(1, ordering: .acquiringAndReleasing)
      return true
    }
    return false
  }

  private static func step(_ ticket: UInt64) -> UInt64 { ticket >> (2 * fieldBits) }

  private static func hasTask(_ ticket: UInt64) -> Bool {
    ticket & fieldMask < (ticket >> fieldBits) & fieldMask
  }

  // MARK: The workers' side

  static func startWorker(_ worker: Int, _ shared: Shared) {
    let start = Unmanaged.passRetained(WorkerStart(worker: worker, shared: shared)).toOpaque()
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    pthread_create(
      &thread, nil,
      { argument in
        #if canImport(Darwin)
          let start = Unmanaged<WorkerStart>.fromOpaque(argument).takeRetainedValue()
        #else
          guard let argument else { return nil }
          let start = Unmanaged<WorkerStart>.fromOpaque(argument).takeRetainedValue()
        #endif
        start.shared.work(as: start.worker)
      }, start)
  }

  private final class WorkerStart {
    let worker: Int
    let shared: Shared
    init(worker: Int, shared: Shared) {
      self.worker = worker
      self.shared = shared
    }
  }

  private func work(as worker: Int) -> Never {
    var idleSpins = 0
    while true {
      if performTask(worker: worker) {
        idleSpins = 0
      } else if isActive.load(ordering: .relaxed) || idleSpins < Shared.spinsBeforeSleep {
        idleSpins += 1
        if idleSpins % Shared.spinsBeforeMove == 0 { leaveCallersCPU() }
      } else {
        pthread_mutex_lock(mutex)
        while !isActive.load(ordering: .relaxed) { pthread_cond_wait(wake, mutex) }
        pthread_mutex_unlock(mutex)
        leaveCallersCPU()
        idleSpins = 0
      }
    }
  }

  private func leaveCallersCPU() {
    let cpu = callerCPU.load(ordering: .relaxed)
    guard cpu >= 0, ProcessorAffinity.currentCPU == cpu else { return }
    ProcessorAffinity.moveThread(awayFrom: cpu, allowed: allowedCPUs)
  }
}
