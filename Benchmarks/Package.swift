// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Benchmarks",
  dependencies: [.package(name: "facet", path: "..")],
  targets: [
    .executableTarget(
      name: "facet-step",
      dependencies: [.product(name: "Facet", package: "facet"), .product(name: "Torch", package: "facet")],
      path: "Sources")
  ],
  swiftLanguageModes: [.v6]
)
