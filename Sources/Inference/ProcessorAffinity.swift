// Which CPU a thread runs on. Only Linux lets a thread choose.

import CCPU

enum ProcessorAffinity {
  /// The CPU that this thread runs on, or -1 where that can't be asked.
  static var currentCPU: CInt {
    #if os(Linux)
      sched_getcpu()
    #else
      -1
    #endif
  }

  /// Lets this thread run on every CPU that it might use so far but `cpu`; does nothing if there is no other.
  ///
  /// - Parameter allowed: the CPUs that the process may use, of ``allowedCPUs``.
  static func moveThread(awayFrom cpu: CInt, allowed: [UInt8]) {
    #if os(Linux)
      var set = allowed
      guard set.indices.contains(Int(cpu) / 8) else { return }
      set[Int(cpu) / 8] &= ~(1 << UInt8(cpu % 8))
      if set.contains(where: { $0 != 0 }) { _ = sched_setaffinity(0, UInt(set.count), set) }
    #endif
  }

  /// The CPUs that this thread may use, a bit each; the system's own form, on little-endian machines.
  static func allowedCPUs() -> [UInt8] {
    #if os(Linux)
      var set = [UInt8](repeating: 0, count: 1024)
      return sched_getaffinity(0, UInt(set.count), &set) == 0 ? set : []
    #else
      []
    #endif
  }
}
