// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Examples",
  dependencies: [
    // A package of your own names the repository instead: .package(url: "https://…/facet", from: "0.1.0"). One that only edits
    // photos adds `traits: []`, and gets no other packages.
    .package(name: "facet", path: ".."),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
  ],
  targets: [
    // Edits a photo with progress, and can be stopped.
    .executableTarget(
      name: "portrait",
      dependencies: [.product(name: "Facet", package: "facet"), .product(name: "Photo", package: "facet")],
      path: "Portrait"),
    // Serves the studio under a path of an application of its own.
    .executableTarget(
      name: "service",
      dependencies: [
        .product(name: "FacetStudio", package: "facet"), .product(name: "Hummingbird", package: "hummingbird"),
      ],
      path: "Service"),
  ],
  swiftLanguageModes: [.v6]
)
