"""Compares the ONNX models that rsw writes with PyTorch, in ONNX Runtime and in OpenVINO.

    RSW_REQUIREMENTS=bench tools/python tools/compare_onnx.py [--models NAMES] [--rsw PATH]

For one model or two of each feature: converts a checkpoint of random weights, with BatchNorm as it
is, folded or both, has onnx check the file, and compares the logits of either engine with PyTorch's
in float64, for images of several numbers and sizes; and those of rsw, where BatchNorm is folded.
Then come what only rsw knows of a network, files with their weights beside them, inputs of fixed
shape and weights in half precision. The exit status is 1 if anything differs by more than it may.
"""

import argparse
import gc
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import openvino
import torch

# Before timm, as it makes torchvision fit to be imported.
from family_models import all_models  # isort: skip
from family_comparison import SPREAD
from family_outputs import Failure, in_float64, rsw_logits, run_rsw
from family_results import TOLERANCE as RSW_TOLERANCE
from reporting import print_table, relative_error
from torchvision_models import randomize

ROOT = Path(__file__).resolve().parent.parent
SEED = 1

# Images of a batch, height and width: odd ones show what padding and rounding do.
SHAPES = ((1, 128, 128), (3, 97, 110))
SMALL_SHAPES = ((1, 32, 32), (3, 45, 38))
# Networks that average in place of strides take no others.
EVEN_SHAPES = ((1, 128, 128), (3, 96, 160))

# Largest allowed error of a logit, relative to the largest logit
TOLERANCE = 1e-5

# Compared with BatchNorm as it is and folded; of the others every second one is folded.
BOTH = {
    "torchvision/resnet18", "timm/resnet18d", "timm/resnetblur50d", "timm/resnetaa50d",
    "timm/seresnext26t_32x4d", "timm/ecaresnet26t", "timm/resnetrs50", "timm/test_resnet",
    "CIFAR/cifar_resnet20",
}  # fmt: skip
NEVER_FOLDED = {"timm/resnet50_gn"}

# What keys and shapes don't tell, of networks that PyTorch's modules are not at hand for: compared
# with what rsw computes itself.
SETTINGS = (
    ("torchvision/resnet18", ("pool=ceil",)),  # max pooling that rounds up
    ("torchvision/resnet18", ("antialiasing=blur", "dilated=4")),
    ("timm/resnet18d", ("dilated=3,4",)),  # average pooling of the same size
    ("timm/resnet26", ("stride=first", "eps=0.001")),
    ("CIFAR/cifar_resnet20", ("stem_stride=2", "stem_pool=max")),
)

# Weights of more bytes go to a file beside the model.
LARGEST_FILE = 100_000
PAGE = 4096


@dataclass
class Comparison:
    """How far the engines' logits are from those that are expected; also a row of the table."""

    model: str
    what: str
    onnx_runtime: float
    openvino: float

    def passed(self):
        return self.onnx_runtime <= TOLERANCE and self.openvino <= TOLERANCE

    def row(self):
        return self.model, self.what, f"{self.onnx_runtime:.1e}", f"{self.openvino:.1e}"


HEADINGS = "model", "as", "ONNX Runtime", "OpenVINO"


# --- The engines -----------------------------------------------------------------------------


def in_onnx_runtime(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"input": images})[0]


def in_openvino(path):
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    network = core.compile_model(core.read_model(path), "CPU", settings)
    return lambda images: network({"input": images})[0]


def engine_errors(path, images, expected):
    """The largest errors of ONNX Runtime and OpenVINO over all batches of images."""
    onnx.checker.check_model(path, full_check=True)
    engines = in_onnx_runtime, in_openvino
    return [engine_error(engine(path), images, expected) for engine in engines]


def engine_error(run, images, expected):
    errors = []
    for batch, reference in zip(images, expected, strict=True):
        logits = run(batch)
        if logits.shape != reference.shape:
            raise Failure(f"an engine gives {logits.shape}, not {reference.shape}")
        errors.append(relative_error(logits, reference))
    # Unlike Python's, NumPy's maximum of something and NaN is NaN.
    return float(np.max(errors))


# --- Networks --------------------------------------------------------------------------------


def random_images(shapes):
    generator = torch.Generator().manual_seed(SEED)
    return [torch.randn(n, 3, h, w, generator=generator) for n, h, w in shapes]


def shapes_for(model):
    if "resnetaa" in model.name:
        return EVEN_SHAPES
    return SMALL_SHAPES if model.size <= 64 else SHAPES


def saved(model, folder):
    """A network with random weights, and the file that it is saved in."""
    network = randomize(model.build(), SEED)
    path = folder / model.file
    model.save(network, path)
    return network, path


def compare(model, folder, rsw):
    """Compares one model of the family, folded or not."""
    network, path = saved(model, folder)
    images = random_images(shapes_for(model))
    stages = model.stages(network)
    outputs = [in_float64(network, stages, batch).tensors for batch in images]
    state = network.state_dict()
    del network
    gc.collect()
    for folded in foldings(model):
        target = folder / "model.onnx"
        run_rsw(rsw, "convert", path, target, "--force", *(["--fold-bn"] if folded else []))
        arrays = [batch.numpy() for batch in images]
        errors = engine_errors(target, arrays, [tensors["logits"] for tensors in outputs])
        check_content(target, state, folded)
        check_stages(target, stages, arrays[0], outputs[0])
        if folded:
            check_folded(path, arrays[0], outputs[0]["logits"], rsw)
        yield Comparison(model.key, "folded" if folded else "BatchNorm", *errors)


def foldings(model):
    if model.key in BOTH:
        return False, True
    return ((SPREAD.index(model.key) % 2 == 0 and model.key not in NEVER_FOLDED),)


def check_content(path, state, folded):
    """Names are given once; weights have the state dict's names and, if not folded, its bytes."""
    graph = onnx.load(path).graph
    names = [node.name for node in graph.node]
    values = [output for node in graph.node for output in node.output]
    if len(set(names)) < len(names) or len(set(values)) < len(values) or not all(names):
        raise Failure("operators or values share a name")
    if folded and any(node.op_type == "BatchNormalization" for node in graph.node):
        raise Failure("there is a BatchNorm left")
    constants = {constant.name: constant for constant in graph.initializer}
    for name, tensor in state.items():
        # CIFAR's networks have another name for the classifier.
        if folded or not tensor.is_floating_point() or name.startswith("linear."):
            continue
        if name not in constants:
            raise Failure(f"there is no {name}")
        if onnx.numpy_helper.to_array(constants[name]).tobytes() != tensor.numpy().tobytes():
            raise Failure(f"{name} is not what the state dict has")


def check_stages(path, stages, images, expected):
    """The values with the names of stages are what these give."""
    model = onnx.load(path)
    model.graph.output.extend(onnx.ValueInfoProto(name=stage) for stage in stages)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for stage, values in zip(stages, session.run(stages, {"input": images})):
        error = relative_error(values, expected[stage])
        if not error <= TOLERANCE:
            raise Failure(f"{stage} is off by {error:.1e}")


def check_folded(path, images, expected, rsw):
    """rsw computes the same from a folded file of its own."""
    folded, images_path = path.with_name("folded.rsw"), path.with_name("images.npy")
    run_rsw(rsw, "convert", path, folded, "--fold-bn")
    np.save(images_path, images)
    error = relative_error(rsw_logits(rsw, folded, images_path), expected)
    if not error <= RSW_TOLERANCE:
        raise Failure(f"rsw is off by {error:.1e} with BatchNorm folded")


# --- What else a model may be ----------------------------------------------------------------


def compare_settings(model, settings, folder, rsw):
    """Networks that differ from the published ones in what keys and shapes don't tell."""
    _, path = saved(model, folder)
    target = folder / "model.onnx"
    options = [option for setting in settings for option in ("--set", setting)]
    run_rsw(rsw, "convert", path, target, *options)
    run_rsw(rsw, "convert", path, folder / "model.rsw", *options)
    images = [batch.numpy() for batch in random_images(shapes_for(model))]
    expected = []
    for batch in images:
        np.save(folder / "images.npy", batch)
        expected.append(rsw_logits(rsw, folder / "model.rsw", folder / "images.npy"))
    yield Comparison(model.key, " ".join(settings), *engine_errors(target, images, expected))


def compare_forms(model, folder, rsw):
    """Weights in a file beside the model, inputs of fixed shape, and weights in half precision."""
    network, path = saved(model, folder)
    images = random_images(SHAPES)
    arrays = [batch.numpy() for batch in images]
    expected = [in_float64(network, (), batch).tensors["logits"] for batch in images]

    target = folder / "outside.onnx"
    run_rsw(rsw, "convert", path, target, "--largest-file", LARGEST_FILE)
    check_outside(target)
    yield Comparison(model.key, "two files", *engine_errors(target, arrays, expected))

    target = folder / "fixed.onnx"
    batch, _, height, width = arrays[1].shape
    run_rsw(rsw, "convert", path, target, "--batch", batch, "--size", height, width)
    declared = onnx.load(target).graph.input[0].type.tensor_type.shape.dim
    if [dimension.dim_value for dimension in declared] != list(arrays[1].shape):
        raise Failure("the input has another shape than was asked for")
    errors = engine_errors(target, arrays[1:], expected[1:])
    yield Comparison(model.key, "fixed shape", *errors)

    network.half()
    model.save(network, path)
    network.float()
    expected = [in_float64(network, (), batch).tensors["logits"] for batch in images]
    target = folder / "half.onnx"
    run_rsw(rsw, "convert", path, target)
    yield Comparison(model.key, "half precision", *engine_errors(target, arrays, expected))


def check_outside(path):
    """The weights are where they should be, on whole pages, and the model is small."""
    beside = path.with_name(path.name + ".data")
    if path.stat().st_size > LARGEST_FILE or not beside.exists():
        raise Failure("the weights are not in a file beside the model")
    for constant in onnx.load(path, load_external_data=False).graph.initializer:
        entries = {entry.key: entry.value for entry in constant.external_data}
        if entries and (entries["location"] != beside.name or int(entries["offset"]) % PAGE):
            raise Failure(f"{constant.name} is at {entries}")


# --- All of it -------------------------------------------------------------------------------


def comparisons(models, rsw):
    """Every comparison, in a folder of its own for each model."""
    by_key = {model.key: model for model in all_models()}
    jobs = [(compare, by_key[key]) for key in SPREAD if key in models]
    jobs += [(compare_settings, by_key[key], more) for key, more in SETTINGS if key in models]
    jobs += [(compare_forms, by_key[key]) for key in SPREAD[:1] if key in models]
    for job, *arguments in jobs:
        with tempfile.TemporaryDirectory() as folder:
            try:
                yield from job(*arguments, Path(folder), rsw)
            except Failure as failure:
                raise SystemExit(f"FAILED: {arguments[0].key}: {failure}") from None


def parse_arguments():
    parser = argparse.ArgumentParser(
        description="Compares the ONNX models that rsw writes with PyTorch."
    )
    parser.add_argument("--models", help="only these, separated by commas, such as timm/resnet18d")
    parser.add_argument("--rsw", type=Path, default=ROOT / "tools" / "rsw", help="the rsw tool")
    arguments = parser.parse_args()
    arguments.models = arguments.models.split(",") if arguments.models else list(SPREAD)
    for model in arguments.models:
        if model not in SPREAD:
            parser.error(f"no model {model}; there are {', '.join(SPREAD)}")
    return arguments


def main():
    arguments = parse_arguments()
    done = []
    for comparison in comparisons(arguments.models, arguments.rsw):
        done.append(comparison)
        print(*comparison.row(), sep=", ", flush=True)
    print_table([HEADINGS, *(comparison.row() for comparison in done)])
    failures = sum(not comparison.passed() for comparison in done)
    if failures:
        raise SystemExit(f"FAILED: {failures} of {len(done)} comparisons")
    print(f"passed: both engines give PyTorch's logits in all {len(done)} comparisons")


if __name__ == "__main__":
    main()
