"""All published ResNets of torchvision, timm and the CIFAR experiments, as their users get them.

Each is saved as its file is published: with its name, its container, and what wraps its state dict.
The weights are random, as no run of the comparison downloads any.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

# First, as it makes torchvision fit to be imported, which timm does too.
from torchvision_models import VARIANTS, full_resnet, torchvision  # isort: skip
import timm

# Blocks per stage, and the name under which the weights of each depth are published.
CIFAR = {
    20: (3, "resnet20-12fca82f.th"),
    32: (5, "resnet32-d509ac18.th"),
    44: (7, "resnet44-014dd654.th"),
    56: (9, "resnet56-4bfd9763.th"),
    110: (18, "resnet110-1d1ed7c2.th"),
    1202: (200, "resnet1202-f3b1deed.th"),
}


@dataclass(frozen=True)
class FamilyModel:
    """One architecture, and how its file is published."""

    source: str
    name: str
    file: str
    # Height and width of the images that it takes by default
    size: int
    build: Callable

    @property
    def key(self):
        """Unlike the name, no two models share it."""
        return f"{self.source}/{self.name}"

    def stages(self, network):
        """The stages whose outputs are compared."""
        return [name for name, _ in network.named_children() if name.startswith("layer")]

    def save(self, network, path):
        state = network.state_dict()
        if path.suffix == ".safetensors":
            safetensors.torch.save_file(state, path)
        elif path.suffix == ".th":
            # Written by torch 1.1 and DataParallel, from a model that torch 0.4 had made.
            kept = {f"module.{key}": t for key, t in state.items() if "num_batches" not in key}
            content = {"state_dict": kept, "best_prec1": 0.0}
            torch.save(content, path, _use_new_zipfile_serialization=False)
        else:
            torch.save(state, path)


# --- CIFAR -----------------------------------------------------------------------------------


class CIFARBlock(nn.Module):
    """Two 3x3 convolutions; the shortcut drops pixels and pads channels, and has no parameters.

    https://arxiv.org/abs/1512.03385, option A of section 3.3.
    """

    def __init__(self, inputs, planes, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.padding = planes // 4 if stride != 1 or inputs != planes else None

    def shortcut(self, x):
        if self.padding is None:
            return x
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.padding, self.padding))

    def forward(self, x):
        branch = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(branch)) + self.shortcut(x))


class CIFARResNet(nn.Module):
    """The ResNets of section 4.2, with the module names of akamaster/pytorch_resnet_cifar10."""

    def __init__(self, blocks):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self.stage(16, 16, blocks, stride=1)
        self.layer2 = self.stage(16, 32, blocks, stride=2)
        self.layer3 = self.stage(32, 64, blocks, stride=2)
        self.linear = nn.Linear(64, 10)

    @staticmethod
    def stage(inputs, planes, blocks, stride):
        first = CIFARBlock(inputs, planes, stride)
        return nn.Sequential(first, *(CIFARBlock(planes, planes, 1) for _ in range(blocks - 1)))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def cifar_models():
    for depth, (blocks, file) in CIFAR.items():
        build = lambda blocks=blocks: CIFARResNet(blocks)  # noqa: E731
        yield FamilyModel("CIFAR", f"cifar_resnet{depth}", file, 32, build)


# --- torchvision and timm --------------------------------------------------------------------


def torchvision_models():
    for name in VARIANTS:
        url = torchvision.models.get_model_weights(name).DEFAULT.url
        build = lambda name=name: full_resnet(name)  # noqa: E731
        yield FamilyModel("torchvision", name, PurePosixPath(url).name, 224, build)


def published_tag(configurations):
    """The default of timm's sets of weights, or the first that is a file of its own on the web."""
    with_file = [tag for tag in configurations.tags if configurations.cfgs[tag].url]
    return (with_file or configurations.tags)[0]


def timm_models():
    for name in timm.list_models(module="resnet"):
        configurations = timm.models.resnet.default_cfgs[name]
        tag = published_tag(configurations)
        configuration = configurations.cfgs[tag]
        if configuration.url:
            file = PurePosixPath(configuration.url).name
        elif configuration.hf_hub_id:
            file = f"{name}.{tag}.safetensors"
        else:
            file = f"{name}.pth"
        build = lambda full=f"{name}.{tag}": timm.create_model(full, pretrained=False)  # noqa: E731
        yield FamilyModel("timm", name, file, configuration.input_size[-1], build)


def all_models():
    return [*torchvision_models(), *timm_models(), *cifar_models()]
