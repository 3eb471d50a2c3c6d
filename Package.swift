// swift-tools-version: 6.2
import PackageDescription

/// Compiles a target for newer CPUs than the package's other code: see Sources/Vectors.
func vectors(_ architecture: String) -> [SwiftSetting] {
  [.unsafeFlags(["-Xcc", "-march=\(architecture)"])]
}

#if arch(x86_64)
  let checksumTargets: [Target] = [
    .target(
      name: "CarrylessCRC", dependencies: ["CCPU"],
      swiftSettings: [.unsafeFlags(["-Xcc", "-march=x86-64-v2", "-Xcc", "-mpclmul"])])
  ]
  let vectorTargets: [Target] = [
    .target(name: "VectorsAVX2", dependencies: ["Vectors"], swiftSettings: vectors("x86-64-v3")),
    .target(name: "VectorsAVX512", dependencies: ["Vectors"], swiftSettings: vectors("x86-64-v4")),
  ]
#else
  let checksumTargets: [Target] = []
  let vectorTargets: [Target] = []
#endif

let package = Package(
  name: "rsw",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Checkpoints", targets: ["Checkpoints"]),
    .library(name: "NN", targets: ["NN"]),
    .library(name: "Inference", targets: ["Inference"]),
    .library(name: "ResNets", targets: ["ResNets"]),
    .library(name: "Pretrained", targets: ["Pretrained"]),
    .library(name: "Images", targets: ["Images"]),
    .executable(name: "rsw", targets: ["rsw"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .systemLibrary(
      name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .systemLibrary(
      name: "CJPEG", pkgConfig: "libjpeg",
      providers: [.apt(["libjpeg-dev"]), .brew(["jpeg-turbo"])]),
    .systemLibrary(
      name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"]), .brew(["libpng"])]),

    .target(
      name: "Checkpoints",
      dependencies: ["CCPU", "CZlib"] + checksumTargets.map { .byName(name: $0.name) },
      swiftSettings: [.strictMemorySafety()]),
    .target(name: "NN", dependencies: ["Checkpoints"]),
    .systemLibrary(name: "CCPU"),
    .target(name: "Vectors", dependencies: ["CCPU"]),
    .target(name: "VectorsBaseline", dependencies: ["Vectors"]),
    .target(
      name: "Inference",
      dependencies: ["NN", "CCPU", "Vectors", "VectorsBaseline"]
        + vectorTargets.map { .byName(name: $0.name) }),
    .target(
      name: "ResNets", dependencies: ["NN", "Inference"], resources: [.embedInCode("Dialects")]),
    .target(name: "CImages", dependencies: ["CJPEG", "CPNG"]),
    .target(name: "Images", dependencies: ["Checkpoints", "CImages"]),
    .systemLibrary(name: "CCurl"),
    .target(name: "Pretrained", dependencies: ["ResNets", "CCurl"]),
    .executableTarget(
      name: "rsw",
      dependencies: [
        "Checkpoints", "NN", "Inference", "ResNets", "Pretrained", "Images", "CZlib",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ], resources: [.embedInCode("Page"), .embedInCode("Photos/Data")]),

    .target(name: "TestSupport", dependencies: ["Checkpoints"], path: "Tests/TestSupport"),
    .testTarget(name: "CheckpointsTests", dependencies: ["Checkpoints", "TestSupport"]),
    .testTarget(name: "NNTests", dependencies: ["NN", "TestSupport"]),
    .testTarget(name: "InferenceTests", dependencies: ["Inference", "Vectors", "TestSupport"]),
    .testTarget(name: "ResNetsTests", dependencies: ["ResNets", "TestSupport"]),
    .testTarget(name: "PretrainedTests", dependencies: ["Pretrained", "TestSupport"]),
    .testTarget(name: "ImagesTests", dependencies: ["Images", "TestSupport"]),
    .testTarget(name: "rswTests", dependencies: ["rsw", "TestSupport"], exclude: ["Golden"]),
  ] + checksumTargets + vectorTargets,
  swiftLanguageModes: [.v6]
)
