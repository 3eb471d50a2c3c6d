"""Forward passes of engines other than rsw, each in a process of its own; tools/bench starts it:

    bench_engines.py ENGINE MODEL BATCH THREADS [PIXELS]

MODEL is a path without its suffix; MODEL.pth and MODEL.onnx are the same network. After "ready",
each line of standard input asks for so many passes, and is answered with a JSON list of milliseconds.
"""

import json
import sys
import time
from pathlib import Path

import torch

from torchvision_models import full_resnet

IMAGE_SIZE = 224
WARM_UPS = 3


def export_onnx(model, path, size=IMAGE_SIZE):
    torch.onnx.export(
        model.eval(),
        (torch.randn(1, 3, size, size),),
        path,
        dynamo=False,
        input_names=["images"],
        output_names=["logits"],
        dynamic_axes={"images": {0: "batch"}, "logits": {0: "batch"}},
    )


def torch_model(model):
    network = full_resnet(model.name)
    network.load_state_dict(torch.load(model.with_suffix(".pth"), weights_only=True))
    return network.eval()


def torch_eager(model, images, threads):
    torch.set_num_threads(threads)
    network = torch_model(model)

    def run():
        with torch.inference_mode():
            return network(images)

    return run


def torch_compile(model, images, threads):
    import torch._inductor.config

    torch.set_num_threads(threads)
    torch._inductor.config.freezing = True
    network = torch.compile(torch_model(model))

    def run():
        # Freezing takes weights for constants, which inference mode does not let it do.
        with torch.no_grad():
            return network(images)

    return run


def onnx_runtime(model, images, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.with_suffix(".onnx"), options, providers=["CPUExecutionProvider"]
    )
    inputs = {"images": images.numpy()}
    return lambda: session.run(None, inputs)


def openvino_f32(model, images, threads):
    import openvino

    network = openvino.Core().read_model(model.with_suffix(".onnx"))
    network.reshape(list(images.shape))
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = openvino.Core().compile_model(network, "CPU", settings).create_infer_request()
    inputs = {0: images.numpy()}
    return lambda: request.infer(inputs)


ENGINES = {
    "OpenVINO f32": openvino_f32,
    "ONNX Runtime": onnx_runtime,
    "torch.compile": torch_compile,
    "PyTorch eager": torch_eager,
}


def versions():
    import onnxruntime
    import openvino

    return {
        "torch": torch.__version__,
        "onnxruntime": onnxruntime.__version__,
        "openvino": openvino.__version__,
    }


def main():
    engine, model, batch, threads, *size = sys.argv[1:]
    generator = torch.Generator().manual_seed(1)
    size = int(size[0]) if size else IMAGE_SIZE
    images = torch.randn(int(batch), 3, size, size, generator=generator)
    run = ENGINES[engine](Path(model), images, int(threads))
    for _ in range(WARM_UPS):
        run()
    print("ready", flush=True)
    for line in sys.stdin:
        samples = []
        for _ in range(int(line)):
            started = time.perf_counter()
            run()
            samples.append((time.perf_counter() - started) * 1000)
        print(json.dumps(samples), flush=True)


if __name__ == "__main__":
    main()
