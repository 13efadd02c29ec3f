// Serves training steps of a preset on made-up pictures: for each number K on standard input it runs K steps and prints
// their seconds as JSON, so that another program can take turns with it.
//
//     facet-step article|compact BATCH THREADS float32|bfloat16
//
// Several processes, which torchrun starts, share each batch; the first one reads and answers.
import Facet
import FacetTraining
import Foundation
import Torch

let arguments = CommandLine.arguments
guard arguments.count == 5, let preset = ModelConfiguration.Architecture(rawValue: arguments[1]),
  let batch = Int(arguments[2]), let threads = Int(arguments[3])
else { fatalError("usage: facet-step article|compact BATCH THREADS float32|bfloat16") }

try Torch.setThreads(threads)
Torch.keepFreedMemory()
var configuration = TrainingConfiguration(preset: preset)
let launch = try Launch(ProcessInfo.processInfo.environment)
let group = try launch.map { try ProcessGroup($0, timeout: 3600) }
let share = batch / (group?.count ?? 1)
configuration.batchSize = batch
configuration.usesBFloat16 = arguments[4] == "bfloat16"
// The peer's photos come as they are, too.
configuration.augmentation = Augmentation()
let step = try TrainingStep(configuration, group: group)
let size = configuration.model.imageSize
let generator = try Generator(seed: 1)
let images = try Tensor.rand([share, 3, size, size], generator: generator).contiguous(.channelsLast)
let masks = try (Tensor.rand([share, 1, size, size], generator: generator) < 0.4).to(.float32)
var done = 0

@MainActor func run(_ count: Int) throws -> Double {
  let start = ContinuousClock.now
  for _ in 0..<count {
    _ = try step(images: images, masks: masks, number: done, learningRate: configuration.learningRate)
    done += 1
  }
  return (ContinuousClock.now - start) / .seconds(1)
}

@MainActor func answer(_ line: String) {
  guard group?.isFirst ?? true else { return }
  FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

/// The next number of steps, for all processes; `nil` at the end.
@MainActor func nextCount() throws -> Int? {
  let own = group?.isFirst ?? true ? readLine() ?? "" : ""
  return Int(String(decoding: try group?.broadcast(Array(own.utf8)) ?? Array(own.utf8), as: UTF8.self))
}

_ = try run(2)
answer(#"{"ready": true}"#)
while let count = try nextCount() {
  answer(#"{"seconds": \#(try run(count))}"#)
}
