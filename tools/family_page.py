"""Writes docs/Models.md from what compare_torch.py --family measured."""

import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

import bench
from torchvision_models import VERSION as TORCHVISION_VERSION

PAGE = """\
# Models

rsw recognises these {count} models from their files alone, and computes what PyTorch computes.
`rsw info` calls each by its name in the tables. `tools/compare_torch.py` wrote this page: change it
in `tools/family_page.py`.

For each model, the comparison builds the network as the Python package named above its table does,
gives it random weights and statistics, and saves it as its file is published: with the same file
name, container and keys. No published weights are downloaded. `rsw convert` gets that file without
any option. `rsw info` must then name the model, and `rsw run` must compute what PyTorch computes in
float64 for one random image: the logits, and the outputs of all stages (`layer1`, `layer2`, ...).
The name of the file decides only between models whose keys and shapes are the same, such as
`resnet50`, `resnetaa50` and `resnetblur50`.

- **Errors** are the largest ones, relative to the largest value of the same tensor; of the stages,
  the worst is shown. They may be up to {tolerance}. PyTorch's own errors in float32, for the same
  images, go up to {torch_error}.
- **GFLOPs** are multiplications and additions, counted separately, of all convolutions and linear
  layers for one image of the given size, in 10⁹.
- **Times** are medians of {passes} passes or more over one image, with {threads} threads. rsw and
  ONNX Runtime take turns, each in a process of its own that has warmed up. The **ratio** is rsw's
  time divided by ONNX Runtime's: below 1, rsw is faster.

## Repeating it

```
RSW_REQUIREMENTS=bench tools/python tools/compare_torch.py \\
    --family --results family.json --write docs/Models.md
```

`--results` keeps what has been measured, so that an interrupted run goes on where it was;
remove the file when rsw has changed.
Without `--write` nothing is timed and no page is written; with `--spread` the models are few, one
or two for each feature.

## Last run

On {cpu} with {cores} cores; torch {torch}, torchvision {torchvision}, timm {timm}, ONNX Runtime
{onnxruntime}. rsw is faster than ONNX Runtime for {faster} of the {count} models, and the median of
the ratios is {median_ratio:.2f}.
"""

# What each source's models are, for the heading above their table
SOURCES = {
    "torchvision": "torchvision",
    "timm": "timm",
    "CIFAR": "CIFAR-10, as in section 4.2 of [the paper](https://arxiv.org/abs/1512.03385)",
}

HEADINGS = (
    "model", "parameters, M", "GFLOPs", "pixels", "logits error", "stages error",
    "rsw, ms", "ONNX Runtime, ms", "ratio",
)  # fmt: skip


def figure(value):
    """Three digits that count, never in scientific notation."""
    return np.format_float_positional(value, precision=3, fractional=False, unique=False, trim="-")


def cells(result):
    return (
        f"`{result.name}`",
        figure(result.parameters / 1e6),
        figure(result.operations / 1e9),
        str(result.size),
        f"{result.error:.1e}",
        f"{result.feature_error:.1e}",
        figure(result.rsw_ms),
        figure(result.onnx_ms),
        f"{result.rsw_ms / result.onnx_ms:.2f}",
    )


def table(results):
    rows = [HEADINGS, ("---", *["---:"] * (len(HEADINGS) - 1)), *map(cells, results)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def introduction(results, threads, passes, tolerance):
    ratios = [result.rsw_ms / result.onnx_ms for result in results]
    return PAGE.format(
        count=len(results),
        tolerance=f"{tolerance:.0e}",
        torch_error=f"{max(result.torch_error for result in results):.1e}",
        threads=threads,
        passes=passes,
        cpu=bench.cpu_model(),
        cores=os.cpu_count(),
        torch=torch.__version__,
        torchvision=TORCHVISION_VERSION,
        timm=version("timm"),
        onnxruntime=version("onnxruntime"),
        faster=sum(ratio < 1 for ratio in ratios),
        median_ratio=float(np.median(ratios)),
    )


def write_page(path, results, threads, passes, tolerance):
    sections = [introduction(results, threads, passes, tolerance)]
    for source, title in SOURCES.items():
        chosen = [result for result in results if result.source == source]
        if chosen:
            sections.append(f"## {title}\n\n{table(chosen)}")
    Path(path).write_text("\n".join(sections))
