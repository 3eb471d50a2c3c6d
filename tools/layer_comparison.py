"""Compares rsw layer by layer with another engine or file; see compare_torch.py --against.

The other side is an ONNX file, which ONNX Runtime runs with every module's output as one of the
graph's, or PyTorch weights, which the module that torchvision or timm builds for the model gets.
The first layer whose output departs is where to look.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from family_models import all_models
from family_outputs import Failure, recognised_variant, rsw_features, rsw_logits
from reporting import print_table, relative_error

SEED = 1
IMAGE_SIZE = 224

# Largest allowed error of a value of a layer, relative to the largest one of that layer
TOLERANCE = 2e-5

# The logits in tables of modules
LOGITS = "logits"


@dataclass
class LayerError:
    """How one layer's output compares; also a row of the table."""

    layer: str
    shape: tuple
    error: float
    # Largest absolute error, and where it is
    largest: float
    index: tuple

    def departs(self):
        # Not a NaN either
        return not self.error <= TOLERANCE

    def row(self):
        return (
            self.layer,
            "x".join(map(str, self.shape)),
            f"{self.error:.1e}",
            f"{self.largest:.1e}",
            str(list(self.index)),
            "DEPARTS" if self.departs() else "",
        )


HEADINGS = ("layer", "shape", "error", "largest", "at", "")


# --- An ONNX file ----------------------------------------------------------------------------


def modules_of(tensor):
    """The modules whose output an ONNX tensor may be, by its name; the last one is.

    `layer1.0.conv1` is a module's path itself; torch's older exporter writes
    `/layer1/layer1.0/conv1/Conv_output_0`, which may be the output of `layer1.0` and `layer1` too.
    """
    if not tensor.startswith("/"):
        return [tensor] if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", tensor) else []
    *scopes, _ = tensor.strip("/").split("/")
    path, paths = "", []
    for scope in scopes:
        # A scope inside a Sequential repeats the path that leads to it.
        path = scope if not path or scope.startswith(path + ".") else f"{path}.{scope}"
        paths.append(path)
    return paths


def norm_after(convolution):
    """The path of the norm behind a convolution: `bn1` for `conv1`, `downsample.1` for `.0`."""
    *parents, name = convolution.split(".")
    name = str(int(name) + 1) if name.isdigit() else name.replace("conv", "bn")
    return ".".join([*parents, name])


def module_tensors(graph):
    """For each module the last tensor that is named for it, in the order of the graph."""
    tensors = {}
    for node in graph.node:
        for tensor in node.output:
            modules = modules_of(tensor)
            # ResNets' convolutions have no bias: with one, the norm behind it is part of it.
            if node.op_type == "Conv" and len(node.input) == 3 and modules:
                modules[-1] = norm_after(modules[-1])
            for module in modules:
                tensors.pop(module, None)
                tensors[module] = tensor
    return tensors


def onnx_outputs(path, images):
    """The output of every module that an ONNX file names, and the logits."""
    import onnx
    import onnxruntime

    model = onnx.load(path)
    logits = model.graph.output[0].name
    tensors = module_tensors(model.graph)
    known = {output.name for output in model.graph.output}
    for tensor in tensors.values():
        if tensor not in known:
            model.graph.output.append(onnx.ValueInfoProto(name=tensor))
            known.add(tensor)
    options = onnxruntime.SessionOptions()
    # Fused, the tensors in between would not be what they are named for.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [*tensors.values(), logits]
    inputs = {session.get_inputs()[0].name: images}
    outputs = dict(zip(names, session.run(names, inputs)))
    layers = {module: outputs[tensor] for module, tensor in tensors.items() if tensor != logits}
    return {**layers, LOGITS: outputs[logits]}


# --- Weights of PyTorch ----------------------------------------------------------------------


def network_of(variant):
    """The module that torchvision, timm or the CIFAR experiments build for a variant."""
    for model in all_models():
        if model.name == variant:
            return model.build()
    raise Failure(f"neither torchvision nor timm builds a {variant}: give an .onnx file")


def incompatible_keys(network, state):
    """The keys that `state` lacks or has in another shape, and those that the network lacks."""
    # Old files have no counters, and nothing is computed with them.
    own = {key: value for key, value in network.state_dict().items() if "num_batches" not in key}
    missing = [key for key in own if key not in state or state[key].shape != own[key].shape]
    return missing, [key for key in state if key not in own and "num_batches" not in key]


def torch_outputs(path, variant, images):
    """The output of every module in float64, in the order in which they are called."""
    content = torch.load(path, weights_only=True, map_location="cpu")
    for key in ("state_dict", "model", "model_state_dict"):
        content = content.get(key, content)
    state = {key.removeprefix("module."): value for key, value in content.items()}
    network = network_of(variant).eval()
    missing, unexpected = incompatible_keys(network, state)
    if missing or unexpected:
        differing = ", ".join([*missing, *unexpected][:3])
        raise Failure(f"{path} does not fit {variant}, which rsw takes the model for: {differing}")
    network.load_state_dict(state, strict=False)
    network.double()
    outputs = {}

    def keep(name, output):
        # A copy, as a later layer may work in place.
        outputs[name] = output.numpy().copy()

    for name, module in network.named_modules():
        if name:
            module.register_forward_hook(lambda _, inputs, output, name=name: keep(name, output))
    with torch.inference_mode():
        keep(LOGITS, network(torch.from_numpy(images).double()))
    return outputs


# --- Both sides ------------------------------------------------------------------------------


def layer_error(layer, ours, theirs):
    if ours.shape != theirs.shape:
        # The older exporter flattens in a tensor of its own.
        if ours.size != theirs.size:
            raise Failure(f"{layer} has shape {ours.shape}, not {theirs.shape}")
        theirs = theirs.reshape(ours.shape)
    distance = np.abs(ours - theirs)
    index = np.unravel_index(np.argmax(np.nan_to_num(distance, nan=np.inf)), distance.shape)
    return LayerError(
        layer=layer,
        shape=ours.shape,
        error=relative_error(ours, theirs),
        largest=float(distance[index]),
        index=tuple(map(int, index)),
    )


def rsw_outputs(rsw, model, images_path, layers):
    """What rsw computes of those of `layers` that are modules of its network, and the logits."""
    outputs = {}
    while layers:
        try:
            outputs = rsw_features(rsw, model, images_path, layers)
            break
        except Failure as failure:
            unknown = re.search(r'no module "([^"]*)"', str(failure))
            if not unknown:
                raise
            # Where one `relu` is no module, none is.
            kind = unknown[1].rpartition(".")[2]
            layers = [name for name in layers if name.rpartition(".")[2] != kind or kind.isdigit()]
            layers = [name for name in layers if name != unknown[1]]
    return {**outputs, LOGITS: rsw_logits(rsw, model, images_path)}


def compare_layers(rsw, model, other, size=IMAGE_SIZE):
    """Prints how every layer of `model` compares with `other`.

    Returns the first that departs, if one does, and how many there are.
    """
    generator = torch.Generator().manual_seed(SEED)
    images = torch.randn(1, 3, size, size, generator=generator).numpy()
    if other.suffix == ".onnx":
        theirs = onnx_outputs(other, images)
    else:
        theirs = torch_outputs(other, recognised_variant(rsw, model), images)
    with tempfile.TemporaryDirectory() as folder:
        images_path = Path(folder) / "images.npy"
        np.save(images_path, images)
        ours = rsw_outputs(rsw, model, images_path, [name for name in theirs if name != LOGITS])
    errors = [layer_error(layer, ours[layer], theirs[layer]) for layer in theirs if layer in ours]
    print_table([HEADINGS, *(error.row() for error in errors)])
    return next((error.layer for error in errors if error.departs()), None), len(errors)
