// mobilenet WEIGHTS IMAGES.npy LOGITS.npy [FEATURES.npy [MODEL.onnx]]: what MobileNetV2 makes of float32 images
// [N, 3, H, W], and the network for other engines.

import Foundation
import Inference
import MobileNets

let files = Array(CommandLine.arguments.dropFirst())
guard files.count >= 3 else {
  let usage = "usage: mobilenet WEIGHTS IMAGES.npy LOGITS.npy [FEATURES.npy [MODEL.onnx]]\n"
  FileHandle.standardError.write(Data(usage.utf8))
  exit(64)
}

var model = Model { MobileNetV2($0) }
try model.load(Checkpoint(path: files[0]).stateDict())

let images = try Tensor(npy: files[1])
let results = try model.outputs(images, at: ["classifier", "avgpool"])
try results[0].writeNPY(to: files[2])
if files.count > 3 { try results[1].writeNPY(to: files[3]) }
if files.count > 4 { try model.graph.onnx(model.stateDict).write(to: files[4]) }

let logits = try results[0].floats()
for image in 0..<images.shape[0] {
  let row = logits[image * 1000..<(image + 1) * 1000]
  let best = row.indices.sorted { row[$0] > row[$1] }.prefix(5)
  print(image, best.map { "\($0 - row.startIndex): \(row[$0])" }.joined(separator: "  "))
}
