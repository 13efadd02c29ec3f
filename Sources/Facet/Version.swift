/// The package's version, as in its changelog.
public let facetVersion = "0.1.0"
