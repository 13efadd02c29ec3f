// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Service",
  dependencies: [
    // A package of your own names the repository instead: .package(url: "https://…/facet", from: "0.1.0")
    .package(name: "facet", path: "../.."),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
  ],
  targets: [
    .executableTarget(
      name: "service",
      dependencies: [
        .product(name: "FacetStudio", package: "facet"), .product(name: "Hummingbird", package: "hummingbird"),
      ],
      path: "Sources")
  ],
  swiftLanguageModes: [.v6]
)
