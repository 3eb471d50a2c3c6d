// timing WEIGHTS BATCH THREADS: makes as many passes as each line of its input asks for, and answers with their
// milliseconds as a JSON list. tools/bench asks.

import Foundation
import Inference
import MobileNets

let arguments = CommandLine.arguments
guard arguments.count == 4, let batch = Int(arguments[2]), let threads = Int(arguments[3]) else {
  FileHandle.standardError.write(Data("usage: timing WEIGHTS BATCH THREADS\n".utf8))
  exit(64)
}
var model = Model { MobileNetV2($0) }
try model.load(Checkpoint(path: arguments[1]).stateDict())
model.threadCount = threads

let shape = [batch, 3, 224, 224]
let images = try Tensor(shape: shape, (0..<shape.reduce(1, *)).map { _ in .random(in: -2...2) })
for _ in 0..<3 { _ = try model(images) }
print("ready")
fflush(nil)
while let line = readLine() {
  var samples: [Double] = []
  for _ in 0..<(Int(line) ?? 1) {
    let duration = try ContinuousClock().measure { _ = try model(images) }
    samples.append(duration / .milliseconds(1))
  }
  print("[" + samples.map { "\($0)" }.joined(separator: ", ") + "]")
  fflush(nil)
}
