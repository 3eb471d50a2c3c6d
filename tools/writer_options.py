"""What rsw's options make of a checkpoint, beside what PyTorch makes of it; see compare_writers.py."""

import json
import subprocess

import torch
from safetensors.torch import load_file

SEED = 1


def source_state():
    """Weights of every kind: numbers at the edges of the types, statistics, integers, other dtypes."""
    generator = torch.Generator().manual_seed(SEED)
    edges = torch.tensor(
        [0.0, -0.0, 65504, 65519.99, 65520, -65536, 3.3895e38, 3.4028e38, 2.0**-24, 2.0**-25, 2.1e-8]
        + [2.0**-14, 6.1e-5, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 1 + 2.0**-8, 1 + 3 * 2.0**-8, 2.0**-134]
        + [1.4e-45, float("inf"), float("-inf"), float("nan")]
    )
    scattered = torch.randint(0, 2**32, (4096,), generator=generator).to(torch.uint32)
    return {
        "conv.weight": torch.randn(8, 4, 3, 3, generator=generator),
        "conv.bias": torch.randn(8, generator=generator).double(),
        "norm.running_mean": torch.randn(8, generator=generator),
        "norm.running_var": torch.rand(8, generator=generator),
        "norm.num_batches_tracked": torch.tensor(12345),
        "edges": edges,
        "scattered": scattered.view(torch.float32),
        "half": torch.randn(16, generator=generator).half(),
        "brain": torch.randn(16, generator=generator).bfloat16(),
        "transposed": torch.randn(7, 5, generator=generator).t(),
        "mask": torch.tensor([True, False]),
    }


def is_statistic(name):
    return name.endswith(("running_mean", "running_var"))


def same(tensor, expected):
    """Whether all numbers are the same bits; NaNs need only be NaNs."""
    if tensor.dtype != expected.dtype or tensor.shape != expected.shape:
        return False
    if not expected.is_floating_point():
        return torch.equal(tensor, expected)
    both_nan = tensor.isnan() & expected.isnan()
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[expected.element_size()]
    return bool((both_nan | (tensor.view(bits) == expected.contiguous().view(bits))).all())


def differences(found, expected):
    if found.keys() != expected.keys():
        return [f"names {sorted(found.keys() ^ expected.keys())}"]
    return [name for name in expected if not same(found[name], expected[name])]


def sharded_files(index):
    """The tensors of all files that an index names, as transformers reads them."""
    content = json.loads(index.read_text())
    state = {}
    for name in sorted(set(content["weight_map"].values())):
        file = index.parent / name
        part = load_file(file) if name.endswith("safetensors") else torch.load(file, weights_only=True)
        assert all(content["weight_map"][tensor] == name for tensor in part)
        state |= part
    assert content["metadata"]["total_size"] == sum(tensor.nbytes for tensor in state.values())
    return state


def cases(state):
    """Options, the name of the output, and what must be in it."""
    for option, dtype in (("f32", torch.float32), ("f16", torch.float16), ("bf16", torch.bfloat16)):
        for suffix in ("safetensors", "pth", "rsw"):
            yield (
                ["--dtype", option],
                f"{option}.{suffix}",
                {
                    name: tensor.to(dtype)
                    if tensor.is_floating_point() and not is_statistic(name)
                    else tensor
                    for name, tensor in state.items()
                },
            )
        yield (
            ["--dtype", option, "--dtype-all"],
            f"{option}-all.safetensors",
            {name: tensor.to(dtype) for name, tensor in state.items()},
        )
    channels_last = {
        name: tensor.permute(0, 2, 3, 1).contiguous() if tensor.dim() == 4 else tensor
        for name, tensor in state.items()
    }
    yield ["--layout", "ohwi"], "ohwi.safetensors", channels_last
    yield ["--shard", "4kB"], "sharded.safetensors", state
    yield ["--shard", "4KiB"], "sharded.bin", state
    yield ["--shard", "1GB"], "whole.safetensors", state
    yield ["--sync", "--only", "*.bias"], "only.safetensors", {"conv.bias": state["conv.bias"]}


def compare_options(rsw, folder):
    """Prints what differs; returns how many cases were tried and how many failed."""
    state = source_state()
    source = folder / "source.pth"
    torch.save(state, source)
    checked = failed = 0
    for options, name, expected in cases(state):
        output = folder / name
        subprocess.run([rsw, "convert", source, output, *options, "--quiet"], check=True)
        index = output.with_name(name + ".index.json")
        if index.exists():
            found = sharded_files(index)
        elif name.endswith("pth"):
            found = torch.load(output, weights_only=True, mmap=True)
        else:
            found = load_file(output)
        wrong = differences(dict(found), expected)
        for difference in wrong:
            print(f"{' '.join(options)} to {name}: {difference} differs")
        checked += 1
        failed += bool(wrong)
    return checked, failed
