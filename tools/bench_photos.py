"""Photos to classes in ONNX Runtime, with torchvision's transforms; tools/bench starts it:

    bench_photos.py MODEL.onnx PHOTO...

Prints the best class of each photo. As many processes as there are CPUs share the photos, with one thread each and
batches of four, which is faster than one process with several threads.
"""

import multiprocessing
import os
import sys
from pathlib import Path

# What takes longest is loaded before there are processes, and shared by them.
import numpy as np
import onnxruntime
import torch
from PIL import Image, ImageOps

import torchvision_models  # isort: skip  It makes torchvision fit to be imported.
from torchvision import transforms

BATCH = 4
PREPARE = transforms.Compose(
    [
        transforms.Resize(256),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ]
)


def start(model):
    global session
    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def classify(paths):
    images = [PREPARE(ImageOps.exif_transpose(Image.open(path)).convert("RGB")) for path in paths]
    [logits] = session.run(None, {"images": np.stack(images)})
    return logits.argmax(axis=1).tolist()


def main():
    model, *paths = sys.argv[1:]
    batches = [paths[start : start + BATCH] for start in range(0, len(paths), BATCH)]
    with multiprocessing.Pool(len(os.sched_getaffinity(0)), start, (model,)) as pool:
        classes = [best for part in pool.imap(classify, batches) for best in part]
    for path, best in zip(paths, classes, strict=True):
        print(Path(path).name, best)


if __name__ == "__main__":
    main()
