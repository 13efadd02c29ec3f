// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Portrait",
  dependencies: [
    // A package of your own names the repository instead: .package(url: "https://…/facet", from: "0.1.0")
    .package(name: "facet", path: "../..")
  ],
  targets: [
    .executableTarget(
      name: "portrait",
      dependencies: [.product(name: "Facet", package: "facet"), .product(name: "Photo", package: "facet")],
      path: "Sources")
  ],
  swiftLanguageModes: [.v6]
)
