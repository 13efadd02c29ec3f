// swift-tools-version: 6.2
import PackageDescription

let facet: [Target.Dependency] = [
  .product(name: "Facet", package: "facet"), .product(name: "FacetTraining", package: "facet"),
  .product(name: "Torch", package: "facet"),
]

let package = Package(
  name: "Benchmarks",
  dependencies: [.package(name: "facet", path: "..", traits: [])],
  targets: [
    .executableTarget(name: "facet-step", dependencies: facet, path: "Sources/step"),
    .executableTarget(name: "facet-data", dependencies: facet, path: "Sources/data"),
  ],
  swiftLanguageModes: [.v6]
)
