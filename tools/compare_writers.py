"""Opens with the real readers what rsw converts from every reading fixture.

    tools/python tools/compare_writers.py [--rsw PATH]

rsw and safetensors files are opened by safetensors, .pth by torch.load(weights_only=True, mmap=True), .npz by
NumPy. Names, dtypes, shapes and bytes must be those of the fixture's .json. Then what --dtype, --layout, --shard and
--only write of one checkpoint is held against what PyTorch makes of it. The exit status is 1 if any differ.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from writer_options import compare_options

ROOT = Path(__file__).resolve().parent.parent

NUMPY_DTYPES = {
    "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8",
    "bool", "complex64",
}  # fmt: skip
# The dtypes that safetensors' Python reader knows
DTYPES = NUMPY_DTYPES | {
    "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
}  # fmt: skip


def raw_bytes(tensor):
    """The tensor's elements as they lie in memory."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def described(tensor):
    return str(tensor.dtype).removeprefix("torch."), list(tensor.shape), raw_bytes(tensor).hex()


def safetensors_content(path):
    with safe_open(path, framework="pt") as file:
        return {name: described(file.get_tensor(name)) for name in file.keys()}


def torch_content(path):
    state = torch.load(path, weights_only=True, mmap=True)
    return {name: described(tensor) for name, tensor in state.items()}


def numpy_content(path):
    with np.load(path) as file:
        return {
            name: (str(file[name].dtype), list(file[name].shape), file[name].tobytes().hex())
            for name in file.files
        }


# For each format, what reads it and which dtypes it holds
FORMATS = {
    "rsw": (safetensors_content, DTYPES),
    "safetensors": (safetensors_content, DTYPES),
    "pth": (torch_content, DTYPES),
    "npz": (numpy_content, NUMPY_DTYPES),
}


def is_convertible(expected, dtypes):
    """Whether the fixture is one state dict of tensors that a format with these dtypes can hold."""
    return "candidates" not in expected and all(
        "layout" not in tensor and tensor["dtype"] in dtypes for tensor in expected["tensors"]
    )


def differences(expected, content):
    """What differs between a fixture's expectation and the file that rsw wrote, a line each."""
    prefix = expected.get("prefix") or ""
    wanted = {tensor["name"].removeprefix(prefix): tensor for tensor in expected["tensors"]}
    # rsw removes a wrapper's prefix only where that makes the names a ResNet's.
    found = {name.removeprefix(prefix): value for name, value in content.items()}
    for name in sorted(set(found) ^ set(wanted)):
        yield f"{name} is in one of both only"
    for name in sorted(set(found) & set(wanted)):
        (dtype, shape, content), want = found[name], wanted[name]
        if dtype != want["dtype"] or shape != want["shape"]:
            yield f"{name} is {dtype} {shape}"
        elif content != want["bytes"]:
            yield f"{name} holds other bytes"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rsw", type=Path, default=ROOT / "tools" / "rsw", help="the rsw tool")
    arguments = parser.parse_args()

    checked, failed = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for case in sorted((ROOT / "Fixtures" / "reading").glob("*.json")):
            expected = json.loads(case.read_text())
            for suffix, (read, dtypes) in FORMATS.items():
                if not is_convertible(expected, dtypes) or suffix == "npz" and not expected["tensors"]:
                    continue
                converted = Path(folder) / f"{case.stem}.{suffix}"
                command = [arguments.rsw, "convert", case.parent / expected["file"], converted, "--quiet"]
                if "member" in expected:
                    command += ["--member", expected["member"]]
                subprocess.run(command, check=True)
                found = list(differences(expected, read(converted)))
                for difference in found:
                    print(f"{case.stem}.{suffix}: {difference}")
                checked += 1
                failed += bool(found)
        options = compare_options(arguments.rsw, Path(folder))
        checked, failed = checked + options[0], failed + options[1]
    print(f"{checked - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
