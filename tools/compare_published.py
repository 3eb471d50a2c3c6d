"""Compares the table of published weights (`rsw fetch --list --json`) with torchvision and timm.

Every weights of torchvision's ResNets must be in it with address, size, parameters and accuracies, its default
first; every file of timm's ResNets for ImageNet's 1,000 classes that its configurations give an address for must
be in it under timm's tag. Nothing is downloaded.
"""

import json
import subprocess
from pathlib import Path

# First, as it makes torchvision fit to be imported, which timm does too.
from torchvision_models import VARIANTS, torchvision  # isort: skip
import timm
from timm.models._registry import _model_pretrained_cfgs
from torchvision import models

ROOT = Path(__file__).resolve().parent.parent
# timm's repository has moved; its old address leads to the new one.
OLD, NEW = "github.com/rwightman/pytorch-image-models/", "github.com/huggingface/pytorch-image-models/"


def main() -> None:
    text = subprocess.run(
        [ROOT / "tools" / "rsw", "fetch", "--list", "--json"], check=True, capture_output=True, text=True
    ).stdout
    rows = {row["name"]: row for row in json.loads(text)["weights"]}
    expected = torchvision_rows() | timm_rows()
    wrong = []
    for name, fields in expected.items():
        for field, value in fields.items():
            if (found := rows.get(name, {}).get(field)) != value:
                wrong.append(f"{name}: {field} is {found}, not {value}")
    wrong += [
        f"{name}: not in torchvision or timm"
        for name in rows
        if name not in expected and not name.startswith("cifar_")
    ]
    for network in VARIANTS:
        default = models.get_model_weights(network).DEFAULT.name
        first = next(row["weights"] for row in rows.values() if row["network"] == network)
        if default != f"IMAGENET1K_{first.upper()}":
            wrong.append(f"{network}: {first} stands first, but torchvision's default is {default}")
    if wrong:
        raise SystemExit("\n".join(wrong))
    print(f"{len(expected)} published weights are as torchvision {torchvision.__version__} and timm {timm.__version__} say")


def torchvision_rows() -> dict[str, dict]:
    rows = {}
    for network in VARIANTS:
        for weights in models.get_model_weights(network):
            metrics = weights.meta["_metrics"]["ImageNet-1K"]
            rows[f"{network}:{weights.name.removeprefix('IMAGENET1K_').lower()}"] = {
                "url": weights.url,
                "bytes": round(weights.meta["_file_size"] * 2**20),
                "parameters": weights.meta["num_params"],
                "top1": metrics["acc@1"],
                "top5": metrics["acc@5"],
            }
    return rows


def timm_rows() -> dict[str, dict]:
    rows = {}
    for name, config in _model_pretrained_cfgs.items():
        network, _, tag = name.partition(".")
        if timm.model_entrypoint(network).__module__ != "timm.models.resnet" or not config.url:
            continue
        # Names without a tag stand for the first one; those of torchvision's are torchvision's here.
        if not tag or tag in ("tv_in1k", "tv2_in1k") or config.num_classes != 1000:
            continue
        rows[f"{network}:{tag}"] = {"url": config.url.replace(OLD, NEW)}
    return rows


if __name__ == "__main__":
    main()
