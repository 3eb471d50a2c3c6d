// Which of the compiled kernels this CPU can run.

import Vectors
import VectorsBaseline

#if arch(x86_64)
  import CCPU
  import VectorsAVX2
  import VectorsAVX512
#endif

extension VectorKernels {
  /// Every table of kernels that this CPU can run, the widest first.
  package static let available: [VectorKernels] = {
    var kernels: [VectorKernels] = []
    #if arch(x86_64)
      if CPUFeatures.hasAVX512 { kernels.append(.avx512) }
      if CPUFeatures.hasAVX2 { kernels.append(.avx2) }
    #endif
    kernels.append(.baseline)
    return kernels
  }()

  /// The kernels with the widest vectors that this CPU has, chosen once.
  static let widest = available[0]
}

#if arch(x86_64)
  /// What the CPU has and the system saves when it switches threads.
  private enum CPUFeatures {
    /// Everything that x86-64-v3 stands for, of which AVX2 and FMA are the last to have come.
    static let hasAVX2 =
      savesState(0x6) && has(cpu_features(), [12, 22, 23, 28, 29]) && has(cpu_extended_features(), [3, 5, 8])

    /// What x86-64-v4 adds: AVX-512 F, DQ, CD, BW and VL.
    static let hasAVX512 =
      hasAVX2 && savesState(0xE6) && has(cpu_extended_features(), [16, 17, 28, 30, 31])

    private static func has(_ word: UInt32, _ bits: [UInt32]) -> Bool {
      bits.allSatisfy { word >> $0 & 1 == 1 }
    }

    /// Whether the system saves these registers: 0x6 for SSE and AVX, 0xE0 for AVX-512's.
    private static func savesState(_ mask: UInt64) -> Bool { cpu_saved_state() & mask == mask }
  }
#endif
