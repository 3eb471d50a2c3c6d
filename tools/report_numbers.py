"""The numbers and pictures of a page that rsw report made, beside those of PyTorch; see check_report.py."""

import base64
import io
import re

import numpy as np
import torch
from PIL import Image

from family_outputs import in_float64

# What printing with three digits, and arithmetic in float32, may make of a number
PRINTED = 0.006
TOP = 5
SHOWN_CHANNELS = 16

ROWS = """(id => [...document.querySelectorAll(`#${id} tbody tr:not(.stage)`)].map(row =>
  [row.querySelector('code')?.textContent ?? '', ...[...row.cells].slice(1).map(cell => cell.textContent)]))"""
PICTURES = "[...document.querySelectorAll('#%s li img')].map(picture => [picture.alt, picture.src])"


def number_complaints(browser, network, image):
    """What of the open page differs from what PyTorch computes of `image`, `[1, 3, H, W]`."""
    stages = [name for name, _ in network.named_children() if name == "maxpool" or name.startswith("layer")]
    outputs = in_float64(network, stages, image)
    return [
        *layer_complaints(browser, network, outputs.operations),
        *norm_complaints(browser, network),
        *filter_complaints(browser, network),
        *answer_complaints(browser, outputs.tensors["logits"]),
        *activation_complaints(browser, outputs.tensors, stages),
    ]


def page_name(name):
    """The CIFAR networks call their last layer so."""
    return "fc" if name == "linear" else name


def own_tensors(module):
    return dict(module.named_parameters(recurse=False))


def layer_complaints(browser, network, operations):
    """Every layer with parameters is listed, with as many as it has; the arithmetic adds up."""
    complaints = []
    rows = browser.evaluate(f"{ROWS}('layers')")
    listed = {row[0]: row for row in rows if row[2]}
    layers = {page_name(name): module for name, module in network.named_modules() if own_tensors(module)}
    if set(listed) != set(layers):
        complaints.append(f"listed and not in the network, or the other way: {sorted(set(listed) ^ set(layers))[:5]}")
    for name in set(listed) & set(layers):
        count = sum(tensor.numel() for tensor in own_tensors(layers[name]).values())
        if int(listed[name][2].replace(",", "")) != count:
            complaints.append(f"{name}: {listed[name][2]} parameters, not {count}")
    unit = browser.evaluate("document.querySelector('.layers thead th:nth-child(4)').textContent")
    expected = operations / {"GFLOP": 1e9, "MFLOP": 1e6}[unit]
    printed = sum(float(row[3]) for row in rows if row[3])
    if abs(printed - expected) > 0.0006 * len(rows):
        complaints.append(f"{printed} {unit} in all, not {expected}")
    untimed = [row[0] for row in rows if not row[4]]
    if untimed:
        complaints.append(f"without a time: {untimed[:5]}")
    # Values of the steps are there, and not all of them are 0.
    if not any(re.fullmatch(r"[\d.]+", row[4]) and float(row[4]) > 0 for row in rows):
        complaints.append("no layer takes time")
    return complaints


def norm_complaints(browser, network):
    """The ranges of every normalisation."""
    complaints = []
    rows = {row[0]: row[1:] for row in browser.evaluate(f"{ROWS}('norms')")}
    norms = {
        name: module for name, module in network.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.GroupNorm)
    }  # fmt: skip
    if set(rows) != set(norms):
        complaints.append(f"normalisations differ: {sorted(set(rows) ^ set(norms))[:5]}")
    for name in set(rows) & set(norms):
        norm = norms[name]
        tensors = [norm.weight, norm.bias]
        if isinstance(norm, torch.nn.BatchNorm2d):
            tensors += [norm.running_mean, norm.running_var]
        expected = [value.item() for tensor in tensors for value in (tensor.min(), tensor.max())]
        if not np.allclose([float(text) for text in rows[name]], expected, rtol=PRINTED, atol=1e-6):
            complaints.append(f"{name}: ranges {rows[name]}, not {expected}")
    return complaints


def picture(address):
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def filter_complaints(browser, network):
    """The pictures are the first layer's filters, from black to white between plus and minus the largest magnitude."""
    first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    weight = first.weight.detach().double().numpy()
    expected = (127.5 + 127.5 * weight / np.abs(weight).max()).transpose(0, 2, 3, 1)
    shown = np.array([picture(address) for _, address in browser.evaluate(PICTURES % "filters")])
    if shown.shape != expected.shape:
        return [f"filters of shape {shown.shape}, not {expected.shape}"]
    error = np.abs(shown - expected).max()
    return [] if error <= 0.51 else [f"filters differ by {error} of 255"]


def answer_complaints(browser, logits):
    """The best classes and their probabilities."""
    rows = browser.evaluate(
        "[...document.querySelectorAll('#answer tbody tr')].map(row => [...row.cells].map(cell => cell.textContent))")
    probabilities = np.exp(logits[0] - logits[0].max())
    probabilities /= probabilities.sum()
    best = np.argsort(-probabilities, kind="stable")[:TOP]
    shown = [int(re.search(r"\d+", row[0]).group()) for row in rows]
    percents = [float(row[1].rstrip(" %")) for row in rows]
    # Classes that are as good as each other may change places.
    if len(rows) != TOP or np.abs(np.array(percents) - 100 * probabilities[best]).max() > 0.011:
        return [f"classes {shown} with {percents} %, not {list(best)} with {list(100 * probabilities[best])} %"]
    return [f"class {index} has {percent} %, not {100 * probabilities[index]}" for index, percent in zip(shown, percents)
            if abs(percent - 100 * probabilities[index]) > 0.011]


def activation_complaints(browser, tensors, stages):
    """The strongest channels of each stage, their means, and where their maps are brightest."""
    complaints = []
    lists = browser.evaluate("""[...document.querySelectorAll('#activations h3')].map(head => [head.textContent,
        [...head.nextElementSibling.querySelectorAll('img')].map(picture => [picture.alt, picture.src])])""")
    shown = {title.split()[0]: tiles for title, tiles in lists}
    for stage in stages:
        output = tensors[stage][0]
        means = output.mean(axis=(1, 2))
        tiles = shown.get("stem" if stage == "maxpool" else stage, [])
        count = min(SHOWN_CHANNELS, len(means))
        if len(tiles) != count:
            complaints.append(f"{stage}: {len(tiles)} channels are shown, not {count}")
        least = np.sort(means)[-count]
        for title, address in tiles:
            channel, mean, largest = re.fullmatch(r"channel (\d+): mean (\S+), at most (\S+)", title).groups()
            channel_map = output[int(channel)]
            close = np.allclose([float(mean), float(largest)], [channel_map.mean(), max(0, channel_map.max())],
                                rtol=PRINTED, atol=1e-4)
            if not close or means[int(channel)] < least - abs(least) * PRINTED:
                complaints.append(f"{stage}: {title}; its mean is {channel_map.mean()}, its largest value {channel_map.max()}")
            brightness = picture(address).sum(axis=2)
            if brightness.shape == channel_map.shape and brightness.max() > brightness.min():
                brightest = channel_map[np.unravel_index(brightness.argmax(), brightness.shape)]
                if brightest < channel_map.max() * 0.97:
                    complaints.append(f"{stage}: channel {channel} is not brightest where it is largest")
    return complaints
