import Photo
import Testing

@Suite struct ColourTests {
  @Test func greyPixelsKeepTheirValue() {
    let grey = Picture(width: 256, height: 1, channels: 3, pixels: (0..<256).flatMap { [UInt8($0), UInt8($0), UInt8($0)] })
    #expect(grey.desaturated() == grey)
    let colour = Picture(width: 1, height: 1, channels: 3, pixels: [255, 0, 0])
    #expect(colour.desaturated().pixels == [54, 54, 54])
  }

  @Test func mixingIsInLinearLight() {
    let (black, white) = (Picture(width: 4, height: 4, filledWith: 0), Picture(width: 4, height: 4, filledWith: 255))
    #expect(black.mixed(with: white, amount: 0.5).pixels.allSatisfy { $0 == 188 })
    #expect(black.mixed(with: white, amount: 0) == black && black.mixed(with: white, amount: 1) == white)
  }
}
