// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "MobileNetV2",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "rsw", path: "../..")],
  targets: [
    .target(name: "MobileNets", dependencies: [.product(name: "Inference", package: "rsw")]),
    .executableTarget(name: "mobilenet", dependencies: ["MobileNets"]),
    .executableTarget(name: "timing", dependencies: ["MobileNets"]),
  ],
  swiftLanguageModes: [.v6]
)
