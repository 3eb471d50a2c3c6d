"""Compares rsw with PyTorch on every published ResNet; see compare_torch.py --family.

Each model gets random weights and is saved as its file is published. rsw must tell from that file
which model it is, without being told anything, and compute its logits and the outputs of its stages.
"""

import gc
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import bench
import bench_engines
from family_models import all_models
from family_outputs import (
    Failure, Outputs, in_float64, largest_error, recognised_variant, rsw_features, rsw_logits,
    run_rsw,
)  # fmt: skip
from family_page import write_page
from family_results import HEADINGS, TOLERANCE, Result, Results, summary
from reporting import print_table
from torchvision_models import randomize

SEED = 1

# Every kind of block, stem, shortcut, norm, attention and container in a few minutes
SPREAD = (
    "torchvision/resnet18",  # basic blocks
    "torchvision/resnext50_32x4d",  # groups
    "torchvision/wide_resnet50_2",
    "timm/resnet26",  # bottlenecks
    "timm/resnet18d",  # deep stem, average pooling on the shortcut
    "timm/resnet50c",  # deep stem alone
    "timm/resnet10t",  # tiered stem
    "timm/resnetblur18",  # blurred pooling
    "timm/resnetblur50d",
    "timm/resnetaa34d",  # average pooling instead of strides
    "timm/resnetaa50d",  # the same with bottlenecks, safetensors
    "timm/seresnet18",  # squeeze and excitation
    "timm/seresnext26t_32x4d",
    "timm/senet154",  # 3x3 shortcuts, narrow first convolutions
    "timm/ecaresnet26t",  # efficient channel attention
    "timm/ecaresnetlight",
    "timm/ecaresnet50d_pruned",
    "timm/resnet50_gn",  # GroupNorm
    "timm/resnetrs50",  # RS: no pooling in the stem
    "timm/test_resnet",  # both kinds of block
    "CIFAR/cifar_resnet20",
    "CIFAR/cifar_resnet110",
)

# How the times for the page are measured
THREADS = 2
ROUNDS = 5
# Passes a turn, of which models with more operations than LARGE make one
PASSES = 3
LARGE = 2e10


# --- One model -------------------------------------------------------------------------------


def compare(model, rsw, folder, timed, result):
    """Fills in `result` as far as it gets."""
    network = randomize(model.build(), SEED)
    images = torch.randn(
        1, 3, model.size, model.size, generator=torch.Generator().manual_seed(SEED)
    )
    result.parameters = sum(parameter.numel() for parameter in network.parameters())

    published, converted, images_path = (
        folder / name for name in (model.file, "model.rsw", "images.npy")
    )
    np.save(images_path, images.numpy())
    model.save(network, published)
    run_rsw(rsw, "convert", published, converted)
    published.unlink()
    result.recognised_as = recognised_variant(rsw, converted)

    stages = model.stages(network)
    in_float32 = Outputs(network, stages, images)
    reference = in_float64(network, stages, images).tensors
    result.operations = in_float32.operations
    result.torch_error = largest_error(in_float32.tensors, reference, reference)
    if timed:
        bench_engines.export_onnx(network, folder / "model.onnx", model.size)
    # The largest has 2 GB of weights, of which the engines are about to make copies.
    del network
    gc.collect()

    logits = rsw_logits(rsw, converted, images_path)
    result.error = largest_error({"logits": logits}, reference, ["logits"])
    result.same_argmax = bool((logits.argmax(1) == reference["logits"].argmax(1)).all())
    features = rsw_features(rsw, converted, images_path, stages)
    result.feature_error = largest_error(features, reference, stages)
    if timed:
        result.rsw_ms, result.onnx_ms = medians(rsw, folder, model.size, result.operations)


def engine_commands(rsw, folder, size):
    model, options = folder / "model.rsw", ["--threads", THREADS, "--size", size, size]
    yield "rsw", [rsw, "bench", model, "--on-demand", *options]
    engine = "ONNX Runtime"
    yield (
        engine,
        [sys.executable, bench_engines.__file__, engine, folder / "model", 1, THREADS, size],
    )


def medians(rsw, folder, size, operations):
    """Median milliseconds of a pass, of rsw and of ONNX Runtime, which take turns."""
    passes = 1 if operations > LARGE else PASSES
    servers, contenders = [], []
    try:
        for name, command in engine_commands(rsw, folder, size):
            server = bench.Server(command)
            servers.append(server)
            server.wait_until_ready()
            contenders.append(bench.Contender(name, lambda server=server: server.passes(passes)))
        bench.take_turns(contenders, ROUNDS)
        return [contender.median() for contender in contenders]
    finally:
        for server in servers:
            server.end()


def compare_recording(model, rsw, timed):
    """The result of one model, whatever happens."""
    result = Result(model.source, model.name, model.file, model.size)
    started = time.perf_counter()
    # A folder for each model, so that only one is on disk at a time.
    with tempfile.TemporaryDirectory() as folder:
        try:
            compare(model, rsw, Path(folder), timed, result)
        # Whatever it is, it is a failure of this model; bench ends the program when an engine does.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            kind = "" if isinstance(error, Failure | SystemExit) else f"{type(error).__name__}: "
            result.failure = kind + (str(error).splitlines() or ["no message"])[0]
    result.seconds = time.perf_counter() - started
    return result


# --- All of them -----------------------------------------------------------------------------


def selected_models(names):
    """The models with these names, with or without their source; all if there are none."""
    models = all_models()
    known = {name for model in models for name in (model.key, model.name)}
    for name in names:
        if name not in known:
            raise SystemExit(
                f"no model {name}; there are {', '.join(model.key for model in models)}"
            )
    return [model for model in models if not names or names & {model.key, model.name}]


def prepare_timing():
    """Fails early without ONNX Runtime; lets OpenBLAS choose its kernels, as tools/bench does."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        raise SystemExit("--write takes ONNX Runtime: set RSW_REQUIREMENTS=bench") from None
    for variable in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        os.environ.pop(variable, None)


def compare_family(names, rsw, results_path, page):
    """Compares the models of these names, or all; returns how many fail, and how many there are."""
    models = selected_models(names)
    timed = page is not None
    if timed:
        prepare_timing()
    results = Results(results_path)
    for number, model in enumerate(models, 1):
        head = f"[{number}/{len(models)}] {model.key}"
        if results.finished(model, timed):
            print(f"{head}: passed before", file=sys.stderr)
            continue
        results.add(model, compare_recording(model, rsw, timed))
        result = results.by_model[model.key]
        print(f"{head}: {result.verdict()}, {result.seconds:.0f} s", file=sys.stderr, flush=True)
    chosen = [results.by_model[model.key] for model in models]
    print_table([HEADINGS, *(result.row() for result in chosen)])
    for line in summary(chosen):
        print(line)
    failures = sum(not result.passed() for result in chosen)
    if timed and failures:
        print(f"{page} is left as it is, as something failed", file=sys.stderr)
    elif timed:
        write_page(page, chosen, THREADS, ROUNDS, TOLERANCE)
    return failures, len(chosen)
