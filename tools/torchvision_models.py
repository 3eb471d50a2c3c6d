"""torchvision's ResNets, at any width, with random weights that leave no layer trivial."""

import torch
from torch import nn

# torchvision registers a meta kernel for these operators when it is imported, and fails if its C++
# extension, which declares them, could not be loaded. The extension only loads next to the torch
# release it was built for; declaring the operators is all that its Python models need.
# The library is kept in a global because dropping it takes the declarations back.
_OPERATORS = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _OPERATORS.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import torchvision  # noqa: E402
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet  # noqa: E402

VERSION = torchvision.__version__

# Block type, blocks per stage, groups, and channels of a group for 64 planes.
VARIANTS = {
    "resnet18": (BasicBlock, (2, 2, 2, 2), 1, 64),
    "resnet34": (BasicBlock, (3, 4, 6, 3), 1, 64),
    "resnet50": (Bottleneck, (3, 4, 6, 3), 1, 64),
    "resnet101": (Bottleneck, (3, 4, 23, 3), 1, 64),
    "resnet152": (Bottleneck, (3, 8, 36, 3), 1, 64),
    "resnext50_32x4d": (Bottleneck, (3, 4, 6, 3), 32, 4),
    "resnext101_32x8d": (Bottleneck, (3, 4, 23, 3), 32, 8),
    "resnext101_64x4d": (Bottleneck, (3, 4, 23, 3), 64, 4),
    "wide_resnet50_2": (Bottleneck, (3, 4, 6, 3), 1, 128),
    "wide_resnet101_2": (Bottleneck, (3, 4, 23, 3), 1, 128),
}

# Factor on the scale of each block's last norm: it keeps the sum over many residual branches from
# growing until float32 rounding drowns everything else. It is smaller in networks of more than DEEP
# blocks.
BRANCH_SCALE = 0.3
DEEP = 50


class NarrowResNet(ResNet):
    """A ResNet with torchvision's module tree whose stem has `width` channels instead of 64.

    `variant` is a row of VARIANTS, or one like it.
    """

    def __init__(self, variant, width, num_classes):
        # ResNet.__init__ fixes the stem at 64 channels, so only its building blocks are reused.
        nn.Module.__init__(self)
        block, depths, self.groups, self.base_width = variant
        self._norm_layer = nn.BatchNorm2d
        self.dilation = 1
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, width, depths[0])
        self.layer2 = self._make_layer(block, width * 2, depths[1], stride=2)
        self.layer3 = self._make_layer(block, width * 4, depths[2], stride=2)
        self.layer4 = self._make_layer(block, width * 8, depths[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(width * 8 * block.expansion, num_classes)


def full_resnet(variant):
    """torchvision's own model, as its users get it."""
    return torchvision.models.get_model(variant, weights=None)


def randomize(model, seed):
    """Gives every parameter and statistic of a ResNet a random value, and returns it for inference.

    A freshly built model has BatchNorms that do nothing; a reader that mixed up their four vectors
    would go unnoticed.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            randomize_layer(module, generator)
        norms = [norm for norm in map(last_norm, model.modules()) if norm is not None]
        for norm in norms:
            norm.weight.mul_(BRANCH_SCALE * min(1, DEEP / len(norms)) ** 0.5)
    return model.eval()


def randomize_layer(module, generator):
    """Random parameters and statistics for a module that has some of its own."""
    if isinstance(module, nn.Conv2d) and module.bias is None:
        nn.init.kaiming_normal_(
            module.weight, mode="fan_out", nonlinearity="relu", generator=generator
        )
    elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
        # Heads and the layers inside attention: a sigmoid must not be driven to its ends.
        module.weight.normal_(0, module.weight[0].numel() ** -0.5, generator=generator)
        if module.bias is not None:
            module.bias.normal_(0, 0.1, generator=generator)
    elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
        module.weight.uniform_(0.5, 1.5, generator=generator)
        module.bias.normal_(0, 0.1, generator=generator)
    if isinstance(module, nn.BatchNorm2d):
        module.running_mean.normal_(0, 0.1, generator=generator)
        module.running_var.uniform_(0.5, 1.5, generator=generator)
        module.num_batches_tracked.random_(1, 100_000, generator=generator)


def last_norm(module):
    """The last norm of a residual block's branch; None of any other module."""
    return getattr(module, "bn3", None) or getattr(module, "bn2", None)
