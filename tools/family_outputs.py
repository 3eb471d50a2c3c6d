"""What PyTorch and rsw compute for the same images; see family_comparison.py."""

import json
import subprocess

import numpy as np
import safetensors.numpy
import torch
from torch import nn

from reporting import relative_error


class Failure(Exception):
    """rsw refused something, or wrote what cannot be compared."""


# --- PyTorch's side --------------------------------------------------------------------------


class Outputs:
    """What a network computes: its logits, the outputs of its stages, and with how much work."""

    def __init__(self, network, stages, images):
        self.operations = 0
        self.tensors = {}
        hooks = [
            network.get_submodule(stage).register_forward_hook(
                lambda _, inputs, output, stage=stage: self.keep(stage, output)
            )
            for stage in stages
        ]
        hooks += [
            module.register_forward_hook(self.count)
            for module in network.modules()
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)
        ]
        with torch.inference_mode():
            self.keep("logits", network(images))
        for hook in hooks:
            hook.remove()

    def keep(self, name, output):
        # A copy, as a later layer may work in place.
        self.tensors[name] = output.double().numpy().copy()

    def count(self, module, inputs, output):
        self.operations += 2 * output.numel() * module.weight[0].numel()


def in_float64(network, stages, images):
    """The outputs that count; leaves the network in float32."""
    outputs = Outputs(network.double(), stages, images.double())
    # Every weight was a float32 before, so this restores it exactly.
    network.float()
    return outputs


def largest_error(tensors, reference, names):
    for name in names:
        if name not in tensors:
            raise Failure(f"{name} is missing")
        if tensors[name].shape != reference[name].shape:
            raise Failure(f"{name} has shape {tensors[name].shape}, not {reference[name].shape}")
    return max(relative_error(tensors[name], reference[name]) for name in names)


# --- rsw's side ------------------------------------------------------------------------------


def run_rsw(rsw, *arguments):
    """Runs rsw and returns what it prints."""
    command = [rsw, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        # Notes may come first.
        complaint = next((line for line in lines if line.startswith("rsw: ")), lines[0])
        raise Failure(f"rsw {arguments[0]} ended with {done.returncode}: {complaint}")
    return done.stdout


def recognised_variant(rsw, path):
    architecture = json.loads(run_rsw(rsw, "info", path, "--json"))["architecture"]
    return architecture and architecture["variant"]


def rsw_logits(rsw, path, images):
    logits = images.with_name("logits.npy")
    run_rsw(rsw, "run", path, "--input", images, "--output", logits, "--force")
    return np.load(logits).astype(np.float64)


def rsw_features(rsw, path, images, stages):
    features = images.with_name("features.rsw")
    at = [argument for stage in stages for argument in ("--at", stage)]
    run_rsw(rsw, "run", path, "--input", images, *at, "--output", features, "--force")
    return {
        name: tensor.astype(np.float64)
        for name, tensor in safetensors.numpy.load_file(features).items()
    }
