// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Classifier",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "rsw", path: "../..")],
  targets: [
    .executableTarget(
      name: "classify",
      dependencies: [
        .product(name: "ResNets", package: "rsw"), .product(name: "Images", package: "rsw"),
      ])
  ],
  swiftLanguageModes: [.v6]
)
