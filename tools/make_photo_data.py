"""Rewrites Sources/rsw/Photos/Data: what rsw knows about classes and images.

    RSW_REQUIREMENTS=bench tools/python tools/make_photo_data.py

imagenet-labels.txt   the names of ImageNet's 1,000 classes, one a line, as torchvision has them
presets.txt           how images are prepared for published weights, as torchvision and timm prepare them

A line of presets.txt is the size after resizing, the size after cropping, the interpolation, "imagenet" or
"inception" for the mean and the deviation, and the names that the weights were published under: the
name of their file, of their repository on the Hugging Face hub or, where other networks than
torchvision's have a usual way, of the network.
"""

import math
from collections import defaultdict
from pathlib import Path

# Before timm, as it makes torchvision fit to be imported.
import torchvision_models  # isort: skip
import timm
import torchvision
from timm.models import get_pretrained_cfg
from torchvision.models import get_model_weights, list_models
from torchvision.models._meta import _IMAGENET_CATEGORIES

DATA = Path(__file__).resolve().parent.parent / "Sources/rsw/Photos/Data"

COLORS = {
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)): "imagenet",
    ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)): "inception",
}
# What is done where nothing is known
USUAL = (256, 224, "bilinear", "imagenet")


def stem(url):
    return url.split("/")[-1].rsplit(".", 1)[0]


def torchvision_presets():
    for name in list_models(module=torchvision.models):
        if name in torchvision_models.VARIANTS:
            for weights in get_model_weights(name):
                preset = weights.transforms()
                colors = COLORS[tuple(preset.mean), tuple(preset.std)]
                [resize], [crop] = preset.resize_size, preset.crop_size
                yield (resize, crop, preset.interpolation.value, colors), stem(weights.url)


def timm_preset(config):
    """As timm.data.create_transform has it without further arguments."""
    size = config.input_size[1]
    colors = COLORS[config.mean, config.std]
    return math.floor(size / config.crop_pct), size, config.interpolation, colors


def timm_presets():
    names = set(timm.list_models(module="resnet"))
    for name in timm.list_pretrained():
        if name.split(".")[0] in names:
            config = get_pretrained_cfg(name)
            yield timm_preset(config), name
            if config.url:
                yield timm_preset(config), stem(config.url)
    for name in sorted(names - set(torchvision_models.VARIANTS)):
        yield timm_preset(get_pretrained_cfg(name)), name


def cifar_presets():
    for depth in (20, 32, 44, 56, 110, 1202):
        yield (32, 32, "bilinear", "imagenet"), f"cifar_resnet{depth}"


def write_presets():
    presets = {}
    # Where both name a file, it is torchvision's.
    for preset, name in [*cifar_presets(), *timm_presets(), *torchvision_presets()]:
        presets[name] = preset
    lines = defaultdict(list)
    for name, preset in sorted(presets.items()):
        if preset != USUAL:
            lines[preset].append(name)
    text = "".join(
        " ".join([*map(str, preset), *names]) + "\n" for preset, names in sorted(lines.items())
    )
    (DATA / "presets.txt").write_text(text)


def main():
    (DATA / "imagenet-labels.txt").write_text("".join(f"{name}\n" for name in _IMAGENET_CATEGORIES))
    write_presets()


if __name__ == "__main__":
    main()
