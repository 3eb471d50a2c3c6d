"""Opens with the real readers what rsw converts from every reading fixture.

    tools/python tools/compare_writers.py [--rsw PATH]

rsw and safetensors files are opened by safetensors, .pth by torch.load(weights_only=True, mmap=True), .npz by
NumPy. Names, dtypes, shapes and bytes must be those of the fixture's .json. Quantized, sparse and
nested tensors must survive in PyTorch's format. What --dtype, --layout, --shard and --only write of one checkpoint is
held against what PyTorch makes of it. The exit status is 1 if any differ.
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
    "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
    "float4_e2m1fn_x2",
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
    "pth": (torch_content, DTYPES | {"complex128", "complex32"}),
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


# Fixtures of quantized, sparse and nested tensors and of some without elements, which PyTorch's format alone holds
SPECIAL = ("quantized-*.pth", "sparse-*.pth", "nested-tensor.pth", "meta-tensor.pth")


def special(tensor):
    """What makes a tensor that is no view of one storage, as far as it can be compared."""
    facts = [tensor.dtype, tensor.layout, tensor.device]
    if tensor.is_nested:
        return [*facts, [part.tolist() for part in tensor.unbind()]]
    facts.append(tuple(tensor.shape))
    if tensor.is_meta:
        return [*facts, tensor.stride()]
    if tensor.is_quantized:
        return [*facts, tensor.qscheme(), raw_bytes(tensor.dequantize())]
    if tensor.layout != torch.strided:
        coalesced = tensor.layout == torch.sparse_coo and tensor.is_coalesced()
        return [*facts, coalesced, raw_bytes(tensor.to_dense())]
    return [*facts, raw_bytes(tensor)]


def compare_special(rsw, folder):
    """Prints what differs; returns how many fixtures were tried and how many failed."""
    checked = failed = 0
    for pattern in SPECIAL:
        for source in sorted((ROOT / "Fixtures" / "reading").glob(pattern)):
            output = folder / source.name
            subprocess.run([rsw, "convert", source, output, "--quiet"], check=True)
            expected, found = (torch.load(path, weights_only=True) for path in (source, output))
            wrong = [
                name
                for name in expected.keys() | found.keys()
                if name not in expected
                or name not in found
                or special(found[name]) != special(expected[name])
            ]
            for name in wrong:
                print(f"{source.name}: {name} is another tensor")
            checked += 1
            failed += bool(wrong)
    return checked, failed


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
        for compare in (compare_options, compare_special):
            more = compare(arguments.rsw, Path(folder))
            checked, failed = checked + more[0], failed + more[1]
    print(f"{checked - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
