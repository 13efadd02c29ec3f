// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "facet",
  products: [
    .library(name: "Facet", targets: ["Facet"]),
    .library(name: "FacetTraining", targets: ["FacetTraining"]),
    .library(name: "FacetConversion", targets: ["FacetConversion"]),
    .library(name: "Torch", targets: ["Torch"]),
    .library(name: "Photo", targets: ["Photo"]),
    .library(name: "FacetStudio", targets: ["FacetStudio"]),
    .executable(name: "facet", targets: ["FacetCLI"]),
  ],
  // What needs other packages. Who takes `Torch`, `Photo`, `Facet` or `FacetTraining` alone turns them off, and gets none:
  // .package(url: "https://…/facet", from: "0.1.0", traits: [])
  traits: [
    .trait(name: "Conversion", description: "FacetConversion: Keras weights in, ONNX out"),
    .trait(name: "Studio", description: "FacetStudio: the page and its HTTP service"),
    .trait(
      name: "CommandLine", description: "the program facet", enabledTraits: ["Conversion", "Studio"]),
    .default(enabledTraits: ["CommandLine"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
    .package(url: "https://github.com/apple/swift-protobuf", from: "1.39.0"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
  ],
  targets: [
    // Libraries of the system, found by pkg-config.
    .systemLibrary(name: "LibTorch", path: "Sources/System/LibTorch", pkgConfig: "facet-libtorch"),
    .systemLibrary(name: "Vips", path: "Sources/System/Vips", pkgConfig: "vips", providers: [.apt(["libvips-dev"])]),
    .systemLibrary(
      name: "HDF5", path: "Sources/System/HDF5", pkgConfig: "hdf5-serial", providers: [.apt(["libhdf5-dev"])]),
    .systemLibrary(name: "Zlib", path: "Sources/System/Zlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(name: "JPEG", path: "Sources/System/JPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg-dev"])]),

    // C interfaces to them: the only files that see their headers.
    .target(name: "CLibTorch", dependencies: ["LibTorch"], cxxSettings: [.headerSearchPath(".")]),
    .target(name: "CVips", dependencies: ["Vips"]),
    .target(name: "CHDF5", dependencies: ["HDF5"]),
    .target(name: "CJPEG", dependencies: ["JPEG"]),
    // dlib's own pkg-config file names whole paths, which SwiftPM refuses.
    .target(
      name: "CDlib",
      linkerSettings: [.linkedLibrary("dlib"), .linkedLibrary("blas"), .linkedLibrary("lapack")]),

    .target(name: "Files"),
    .target(
      name: "ONNX", dependencies: [.product(name: "SwiftProtobuf", package: "swift-protobuf", condition: .when(traits: ["Conversion"]))],
      exclude: ["onnx.proto"]),
    .target(name: "Torch", dependencies: ["CLibTorch", "Files"]),
    .target(name: "Photo", dependencies: ["CJPEG", "CVips", "Files"]),
    .target(
      name: "Facet",
      dependencies: ["Torch", "Photo", "CDlib", "Files"],
      resources: [
        .copy("Resources/default.facet"), .copy("Resources/default.parser"), .copy("Resources/astronaut.jpg"),
        .copy("Resources/frontal_faces.dat"), .copy("Resources/hair-colours.json"), .copy("Resources/hair-palette.json"), .copy("Resources/glasses"),
        .copy("Resources/teeth.safetensors"),
      ]),
    // Trains and measures models, directions and parsers.
    .target(name: "FacetTraining", dependencies: ["Facet", "Torch", "Photo", "Files"]),
    // Reads and writes the models of other programs: Keras, ONNX.
    .target(name: "FacetConversion", dependencies: ["Facet", "Torch", "CHDF5", "Files", "ONNX"]),
    .target(
      name: "FacetStudio",
      dependencies: [
        "Facet", "Files", "Photo", "Torch", "Zlib", .product(name: "HTTPTypes", package: "swift-http-types", condition: .when(traits: ["Studio"])),
        .product(name: "Hummingbird", package: "hummingbird", condition: .when(traits: ["Studio"])), .product(name: "Logging", package: "swift-log", condition: .when(traits: ["Studio"])),
        .product(name: "NIOCore", package: "swift-nio", condition: .when(traits: ["Studio"])), .product(name: "NIOHTTPTypes", package: "swift-nio-extras", condition: .when(traits: ["Studio"])),
        .product(name: "NIOPosix", package: "swift-nio", condition: .when(traits: ["Studio"])),
      ],
      resources: [.copy("Page")]),
    .executableTarget(
      name: "FacetCLI",
      dependencies: [
        "Facet", "FacetConversion", "FacetStudio", "FacetTraining", "Files", "Photo", "Torch",
        .product(name: "ArgumentParser", package: "swift-argument-parser", condition: .when(traits: ["CommandLine"])),
      ]),

    // What tests of several targets share.
    .target(name: "TestProcesses", dependencies: ["Torch"], path: "Tests/Support"),
    .testTarget(name: "FilesTests", dependencies: ["Files"]),
    .testTarget(name: "TorchTests", dependencies: ["Torch", "Files", "TestProcesses"], resources: [.copy("Fixtures")]),
    .testTarget(name: "PhotoTests", dependencies: ["Files", "Photo"]),
    .testTarget(
      name: "FacetTests",
      dependencies: ["Facet", "FacetCLI", "FacetConversion", "FacetTraining", "Files", "Photo", "Torch", "TestProcesses"],
      resources: [.copy("Fixtures")]),
    .testTarget(
      name: "FacetStudioTests",
      dependencies: [
        "FacetCLI", "FacetStudio", "Facet", "Photo", "Torch",
        .product(name: "Hummingbird", package: "hummingbird", condition: .when(traits: ["Studio"])),
        .product(name: "NIOEmbedded", package: "swift-nio", condition: .when(traits: ["Studio"])),
      ],
      exclude: ["schemathesis.toml"]),
    // Runs the built program as a user does.
    .testTarget(name: "FacetCLITests", dependencies: ["FacetCLI", "Facet", "Files", "Photo", "Torch"]),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx20
)
