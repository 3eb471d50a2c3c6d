// Which of the compiled kernels this CPU can run.

import Checkpoints
import Vectors
import VectorsBaseline

#if arch(x86_64)
  import CCPU
  import VectorsAVX2
  import VectorsAVX512
#endif

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#else
  import Darwin
#endif

extension VectorKernels {
  /// Every table of kernels that this CPU can run, by the name of its instruction set, the widest first.
  static let byInstructionSet: [(name: String, kernels: VectorKernels)] = {
    var kernels: [(name: String, kernels: VectorKernels)] = []
    #if arch(x86_64)
      if CPUFeatures.hasAVX512 { kernels.append(("v4", .avx512)) }
      if CPUFeatures.hasAVX2 { kernels.append(("v3", .avx2)) }
    #endif
    kernels.append(("baseline", .baseline))
    return kernels
  }()

  /// The same without names.
  package static var available: [VectorKernels] { byInstructionSet.map(\.kernels) }

  /// The kernels that plans use: those with the widest vectors, unless `RSW_ISA` names others.
  static let chosen =
    byInstructionSet.first { $0.name == InstructionSetChoice.requested }?.kernels
    ?? byInstructionSet[0].kernels
}

/// What the environment variable `RSW_ISA` asks for, so that tests and measurements can use what the CPU has beside the best:
/// `v4` (AVX-512), `v3` (AVX2), `baseline`, or `blas` for OpenBLAS. Anything else changes nothing.
package enum InstructionSetChoice {
  static let requested = getenv("RSW_ISA").map { String(cString: $0) }

  /// What is wrong with the variable; nil where nothing is.
  package static var problem: String? {
    guard let requested, !requested.isEmpty else { return nil }
    var choices = VectorKernels.byInstructionSet.map(\.name)
    if MatrixEngine.blas.isInstalled { choices.append(MatrixEngine.blas.rawValue) }
    if choices.contains(requested) { return nil }
    return "RSW_ISA is \(quoted(requested)), but here it can be \(choices.joined(separator: ", ")) only."
  }
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
