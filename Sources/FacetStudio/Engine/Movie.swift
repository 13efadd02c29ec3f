import Foundation
import Photo

/// Frames as an MP4 film by Debian's ffmpeg, where that is installed. Frames and film go through pipes: nothing is written.
enum Movie {
  struct Failure: Error {}

  /// The program; nil where there is none.
  static let program: URL? = ProcessInfo.processInfo.environment["PATH", default: ""].split(separator: ":")
    .map { URL(fileURLWithPath: "\($0)/ffmpeg") }
    .first { FileManager.default.isExecutableFile(atPath: $0.path) }

  /// - Parameters:
  ///   - frames: of one size, three channels.
  ///   - milliseconds: how long each is shown.
  ///   - source: what the film says of its origin.
  static func encode(_ frames: [Picture], milliseconds: Int, source: DigitalSource) throws -> Data {
    guard let program, let first = frames.first else { throw Failure() }
    // A film that fails closes its pipe, which must not end the server.
    signal(SIGPIPE, SIG_IGN)
    let process = Process()
    process.executableURL = program
    process.arguments = [
      "-loglevel", "error", "-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", "\(first.width)x\(first.height)",
      "-framerate", "1000/\(milliseconds)", "-i", "pipe:0",
      // H.264 in 4:2:0 plays everywhere, and has even sides.
      "-vf", "crop=trunc(iw/2)*2:trunc(ih/2)*2", "-c:v", "libx264", "-preset", "fast", "-crf", "18", "-pix_fmt", "yuv420p",
      "-threads", "2", "-metadata", "comment=\(source.rawValue)", "-movflags", "frag_keyframe+empty_moov", "-f", "mp4",
      "pipe:1",
    ]
    let (input, output) = (Pipe(), Pipe())
    (process.standardInput, process.standardOutput, process.standardError) = (input, output, FileHandle.nullDevice)
    try process.run()
    let shouldStop = PhotoWork.shouldStop
    let writer = Thread {
      // A film that fails closes the pipe; its status tells.
      for frame in frames {
        if shouldStop?.ask() == true { break }
        guard (try? input.fileHandleForWriting.write(contentsOf: Data(frame.pixels))) != nil else { break }
      }
      try? input.fileHandleForWriting.close()
    }
    writer.start()
    let film = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    if shouldStop?.ask() == true { throw PhotoError.stopped(file: "film") }
    guard process.terminationStatus == 0, !film.isEmpty else { throw Failure() }
    return film
  }
}

/// What frames are sent as.
enum FramesFormat: String, Decodable, Sendable {
  case webp, gif, mp4
  /// One picture with the frames from left to right.
  case jpeg

  /// The files that this machine can make.
  static var files: [FramesFormat] { [.webp, .gif] + (Movie.program == nil ? [] : [.mp4]) }

  var mediaType: String { self == .mp4 ? "video/mp4" : "image/\(rawValue)" }

  func encode(_ frames: [Picture], milliseconds: Int, source: DigitalSource) throws -> Data {
    switch self {
    case .mp4: return try Movie.encode(frames, milliseconds: milliseconds, source: source)
    case .jpeg:
      var strip = Picture(width: frames[0].width * frames.count, height: frames[0].height, filledWith: 0)
      for (index, frame) in frames.enumerated() { strip.paste(frame, x: index * frame.width, y: 0) }
      return try PreviewFormat.jpeg.encode(strip, source: source)
    case .webp, .gif:
      var animation = Animation(frames, milliseconds: milliseconds)
      animation.digitalSource = source
      return try animation.encoded(as: self == .gif ? .gif : .webp)
    }
  }
}
