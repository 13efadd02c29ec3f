import Facet
import Foundation
import Photo

/// How well a parser's label maps agree with given ones.
public struct ParserReport: Codable, Sendable, Equatable {
  /// How well the maps agree on one class.
  public struct ClassFigure: Codable, Sendable, Equatable {
    /// The name of the class, a case of `FaceClass`.
    public var name: String
    /// Intersection over union of all pixels of the class in all photos; `nil` where neither map has any.
    public var iou: Double?
    /// The share of all pixels that the given maps say are of the class.
    public var share: Double
  }

  /// A figure of each class.
  public var classes: [ClassFigure]
  /// The mean over the classes that occur.
  public var meanIoU: Double
  /// The share of pixels whose class is the given one.
  public var accuracy: Double
  /// Intersection over union of the face masks that training makes of the maps, mean over the photos.
  public var faceIoU: Double
  /// Photos that were measured.
  public var images: Int
  /// Photos in a second.
  public var imagesPerSecond: Double

  enum CodingKeys: String, CodingKey {
    case classes, meanIoU = "mean_iou", accuracy, faceIoU = "face_iou", images, imagesPerSecond = "images_per_second"
  }
}

/// Photos with given label maps, to measure a parser on.
public struct LabelledPhotos: Sendable {
  private(set) var files: [LabelledPhoto]

  /// The number of photos.
  public var count: Int { files.count }

  /// The pairs of a folder like CelebAMask-HQ's that training holds out.
  /// - Throws: ``DatasetError`` when it is no such folder.
  public static func heldOut(of directory: URL) throws(DatasetError) -> LabelledPhotos {
    LabelledPhotos(files: try FacePairs.files(in: directory, .heldOut))
  }

  /// The photos of a partition, of whose maps only what is right in the large is believed: of glasses, what agrees with the label.
  public static func coarse(_ partition: Partition, of dataset: CelebA) -> LabelledPhotos {
    var photos = Self.partition(partition, of: dataset)
    guard let column = try? dataset.attributeIndex(of: AttributeTable.glasses) else { return photos }
    for (place, sample) in dataset.indices(of: partition).enumerated() {
      photos.files[place].wearsGlasses = dataset.labels(of: sample)[dataset.labels(of: sample).startIndex + column] > 0
    }
    return photos
  }

  /// The photos of a partition with the label maps that training reads.
  public static func partition(_ partition: Partition, of dataset: CelebA) -> LabelledPhotos {
    LabelledPhotos(
      files: dataset.indices(of: partition).map {
        LabelledPhoto(
          photo: dataset.imageURL(of: $0), map: .file(dataset.maskURL(of: $0), order: FaceClass.allCases))
      })
  }
}

extension FaceParser {
  /// Compares the parser's maps with given ones, pixel by pixel at the photos' own size.
  /// - Parameters:
  ///   - photos: photos and maps.
  ///   - side: reduces each photo to this many pixels a side first, and enlarges it again, as if it came from a small
  ///     one; `nil` leaves it as it is.
  ///   - batchSize: photos at once.
  ///   - progress: called with the photos done and their total.
  /// - Throws: ``DatasetError`` that names the file at fault.
  public func evaluate(
    _ photos: LabelledPhotos, reducedTo side: Int? = nil, batchSize: Int = 32,
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> ParserReport {
    let classes = FaceClass.allCases.count
    let isFace = DatasetConfiguration().isFace
    var counts = [Int](repeating: 0, count: classes * classes)  // given × found
    var faceIoU = 0.0
    let start = ContinuousClock.now
    for first in stride(from: 0, to: photos.count, by: batchSize) {
      let part = Array(photos.files[first..<min(first + batchSize, photos.count)])
      let pairs = try concurrently(part.count) { i in
        Result { () throws(DatasetError) in try part[i].read() }
      }.map { try $0.get() }
      let seen = pairs.map { pair in
        guard let side else { return pair.photo }
        return pair.photo.resized(to: (side, side)).resized(to: (pair.photo.width, pair.photo.height))
      }
      for (pair, found) in zip(pairs, try labelMaps(of: seen)) {
        var (both, either) = (0, 0)
        for (a, b) in zip(pair.map.pixels, found.pixels) {
          counts[Int(a) * classes + Int(b)] += 1
          let (inA, inB) = (isFace[Int(a)], isFace[Int(b)])
          if inA && inB { both += 1 }
          if inA || inB { either += 1 }
        }
        faceIoU += either == 0 ? 1 : Double(both) / Double(either)
      }
      progress(first + part.count, photos.count)
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    return ParserReport(
      confusion: counts, faceIoU: faceIoU / Double(photos.count), images: photos.count,
      imagesPerSecond: Double(photos.count) / seconds)
  }
}

extension ParserReport {
  /// - Parameter confusion: pixels by given class and found class, row after row.
  fileprivate init(confusion: [Int], faceIoU: Double, images: Int, imagesPerSecond: Double) {
    let count = FaceClass.allCases.count
    let total = Double(max(1, confusion.reduce(0, +)))
    classes = FaceClass.allCases.enumerated().map { index, face in
      let given = confusion[index * count..<(index + 1) * count].reduce(0, +)
      let found = stride(from: index, to: count * count, by: count).reduce(0) { $0 + confusion[$1] }
      let both = confusion[index * count + index]
      let union = given + found - both
      return ClassFigure(
        name: face.name, iou: union == 0 ? nil : Double(both) / Double(union), share: Double(given) / total)
    }
    let known = classes.compactMap(\.iou)
    meanIoU = known.reduce(0, +) / Double(max(1, known.count))
    accuracy = Double((0..<count).reduce(0) { $0 + confusion[$1 * count + $1] }) / total
    (self.faceIoU, self.images, self.imagesPerSecond) = (faceIoU, images, imagesPerSecond)
  }
}
