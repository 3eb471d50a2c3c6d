"""Compares the speed of rsw with that of PyTorch, cp and safetensors; run it as tools/bench.

All contenders of a section take turns, round by round, so that a machine that slows down or speeds
up does so for all of them. Reported are the median and the minimum over all rounds.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open

from torchvision_models import full_resnet, randomize

VARIANT = "resnet50"
# Tensors of a state dict of many small ones
MANY = 3000
IMAGE_SIZE = 224
SEED = 1

FORWARD_THREADS = (1, 2)
FORWARD_REPEATS = 10
TORCH_WARM_UPS = 3

CONVERSION_PAIRS = 9
PYTHON_CONVERSIONS = 3

OPENING_REPEATS = 10

# A median this much above the minimum means that something else was using the machine.
NOISE_LIMIT = 0.10

# The name under which this script runs itself for PyTorch's share of a forward round
FORWARD_COMMAND = "torch-forward"

PYTHON_CONVERSION = """
import sys, torch, safetensors.torch
state = torch.load(sys.argv[1], weights_only=True)
safetensors.torch.save_file(state, sys.argv[2])
"""


@dataclass
class Contender:
    """One way to do what a section measures; `measure` returns a list of milliseconds."""

    name: str
    measure: Callable
    samples: list = field(default_factory=list)

    def run(self):
        self.samples += self.measure()

    def median(self):
        return statistics.median(self.samples)

    def minimum(self):
        return min(self.samples)

    def is_noisy(self):
        return self.median() > self.minimum() * (1 + NOISE_LIMIT)


def take_turns(contenders, rounds):
    for number in range(rounds):
        # Every other round runs backwards, so that nobody always follows the same contender.
        for contender in contenders[:: -1 if number % 2 else 1]:
            contender.run()


@dataclass
class Section:
    """Contenders for the same task, of which the first is what the others are compared with."""

    title: str
    contenders: list

    def run(self, rounds):
        print(f"bench: {self.title}", file=sys.stderr)
        take_turns(self.contenders, rounds)

    def rows(self):
        baseline = self.contenders[0].median()
        for contender in self.contenders:
            yield (
                contender.name,
                f"{contender.median():.2f}",
                f"{contender.minimum():.2f}",
                f"{contender.median() / baseline:.2f}",
                str(len(contender.samples)),
            )

    def warnings(self):
        return [
            f"{self.title}, {contender.name}: median and minimum differ by "
            f"{contender.median() / contender.minimum() - 1:.0%}"
            for contender in self.contenders
            if contender.is_noisy()
        ]

    def json(self):
        baseline = self.contenders[0].median()
        return {
            "title": self.title,
            "contenders": [
                {
                    "name": contender.name,
                    "median_ms": contender.median(),
                    "min_ms": contender.minimum(),
                    "ratio": contender.median() / baseline,
                    "samples_ms": contender.samples,
                }
                for contender in self.contenders
            ],
        }


def milliseconds(action):
    """How long an action took, as the one sample of a list."""
    started = time.perf_counter()
    action()
    return [(time.perf_counter() - started) * 1000]


def rsw_bench(rsw, *arguments):
    """What `rsw bench --json` reports."""
    command = [rsw, "bench", *map(str, arguments), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


@dataclass
class Files:
    """The model that everything is measured with."""

    folder: Path

    @property
    def checkpoint(self):
        return self.folder / f"{VARIANT}.pth"

    @property
    def converted(self):
        return self.folder / f"{VARIANT}.rsw"

    @property
    def many(self):
        return self.folder / "many.pth"

    def make(self, rsw):
        model = randomize(full_resnet(VARIANT), SEED)
        torch.save(model.state_dict(), self.checkpoint)
        torch.save({f"blocks.{i}.weight": torch.zeros(4, i % 7 + 1) for i in range(MANY)}, self.many)
        convert = [rsw, "convert", self.checkpoint, self.converted]
        subprocess.run(convert, check=True, stdout=sys.stderr)


# --- Forward passes --------------------------------------------------------------------------


def torch_forward_samples(checkpoint, threads, repeats):
    """Milliseconds of PyTorch's forward passes, in this process."""
    torch.set_num_threads(threads)
    model = full_resnet(VARIANT)
    model.load_state_dict(torch.load(checkpoint, weights_only=True))
    model.eval()
    image = torch.randn(1, 3, IMAGE_SIZE, IMAGE_SIZE, generator=torch.Generator().manual_seed(SEED))
    with torch.inference_mode():
        for _ in range(TORCH_WARM_UPS):
            model(image)
        return [sample for _ in range(repeats) for sample in milliseconds(lambda: model(image))]


def torch_forward(checkpoint, threads):
    """The same in a new process, because a thread pool keeps what an earlier count left behind."""
    command = [sys.executable, __file__, FORWARD_COMMAND, checkpoint, str(threads)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def rsw_forward(rsw, converted, threads, repeats=FORWARD_REPEATS):
    """What rsw reports of its forward passes, which it makes in a process of their own."""
    return rsw_bench(
        rsw, converted, "--batch", 1, "--threads", threads,
        "--size", IMAGE_SIZE, IMAGE_SIZE, "--repeat", repeats,
    )  # fmt: skip


def forward_section(rsw, files, threads):
    return Section(
        f"ResNet-50 forward, batch 1, {IMAGE_SIZE}x{IMAGE_SIZE}, {threads} thread(s)",
        [
            Contender("rsw", lambda: rsw_forward(rsw, files.converted, threads)["samples_ms"]),
            Contender("PyTorch eager", lambda: torch_forward(files.checkpoint, threads)),
        ],
    )


# --- Conversion ------------------------------------------------------------------------------


def whole_process(command, destination):
    """Milliseconds from starting a command, which makes a new file, to its end."""
    destination.unlink(missing_ok=True)
    # Otherwise the kernel would write the previous contender's file while this one is timed.
    os.sync()
    return milliseconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def conversion_contenders(rsw, files):
    """Ways to make a file of 100 MB from a checkpoint; cp is the fastest one can hope for."""
    source, destination = files.checkpoint, files.folder / "output.rsw"
    commands = {
        "cp": ["cp", source, destination],
        "rsw convert": [rsw, "convert", source, destination, "--force"],
        "torch.load + save_file": [sys.executable, "-c", PYTHON_CONVERSION, source, destination],
    }
    return [
        Contender(name, lambda command=command: whole_process(command, destination))
        for name, command in commands.items()
    ]


def run_conversions(rsw, files):
    section = Section("Conversion of ResNet-50, whole process", conversion_contenders(rsw, files))
    cp, convert, _ = section.contenders
    # A first, unmeasured copy brings the checkpoint into the page cache.
    cp.measure()
    section.run(PYTHON_CONVERSIONS)
    # Python is so much slower that a few runs tell enough.
    take_turns([cp, convert], CONVERSION_PAIRS - PYTHON_CONVERSIONS)
    return section


# --- Opening ---------------------------------------------------------------------------------


def list_safetensors(path):
    """Reads every name and shape, but no tensor."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}


def repeated(action):
    """Samples of an action after one that is not measured."""
    action()
    return [sample for _ in range(OPENING_REPEATS) for sample in milliseconds(action)]


def rsw_open(rsw, path):
    return rsw_bench(rsw, path, "--open", "--repeat", OPENING_REPEATS)["samples_ms"]


def torch_load(path, **options):
    return repeated(lambda: torch.load(path, weights_only=True, **options))


def opening_sections(rsw, files):
    checkpoint, converted, many = files.checkpoint, files.converted, files.many
    return [
        Section(
            "Opening ResNet-50, within a process",
            [
                Contender("rsw, .rsw", lambda: rsw_open(rsw, converted)),
                Contender("rsw, .pth", lambda: rsw_open(rsw, checkpoint)),
                Contender("torch.load, .pth", lambda: torch_load(checkpoint)),
                Contender("torch.load mmap, .pth", lambda: torch_load(checkpoint, mmap=True)),
                Contender("safe_open, .rsw", lambda: repeated(lambda: list_safetensors(converted))),
            ],
        ),
        Section(
            f"Opening a state dict of {MANY} small tensors, within a process",
            [
                Contender("rsw, .pth", lambda: rsw_open(rsw, many)),
                Contender("torch.load, .pth", lambda: torch_load(many)),
                Contender("torch.load mmap, .pth", lambda: torch_load(many, mmap=True)),
            ],
        ),
    ]


# --- Report ----------------------------------------------------------------------------------


def cpu_model():
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def environment(rsw, files):
    return {
        "cpu": cpu_model(),
        "logical_cpus": os.cpu_count(),
        "openblas_core": rsw_forward(rsw, files.converted, threads=1, repeats=1)["core"],
        "threads": list(FORWARD_THREADS),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def print_section(section):
    rows = [("", "median ms", "minimum ms", "to first", "samples"), *section.rows()]
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    print(f"\n{section.title}")
    for name, *numbers in rows:
        cells = (cell.rjust(width) for cell, width in zip(numbers, widths[1:]))
        print("  " + name.ljust(widths[0]) + "  " + "  ".join(cells))


def print_report(surroundings, sections):
    for name, value in surroundings.items():
        print(f"{name}: {value}")
    for section in sections:
        print_section(section)
    print()
    for section in sections:
        for warning in section.warnings():
            print(f"warning: {warning}")


def run_all(rsw, rounds):
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder))
        files.make(rsw)
        surroundings = environment(rsw, files)
        sections = [forward_section(rsw, files, threads) for threads in FORWARD_THREADS]
        sections += opening_sections(rsw, files)
        for section in sections:
            section.run(rounds)
        sections.append(run_conversions(rsw, files))
    return surroundings, sections


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench")
    parser.add_argument("--rsw", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="also write the results, samples and all, here")
    parser.add_argument("--rounds", type=int, default=7, help="turns per contender (default: 7)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    return arguments


def main():
    if sys.argv[1:2] == [FORWARD_COMMAND]:
        checkpoint, threads = sys.argv[2:]
        print(json.dumps(torch_forward_samples(checkpoint, int(threads), FORWARD_REPEATS)))
        return
    arguments = parse_arguments()
    surroundings, sections = run_all(arguments.rsw, arguments.rounds)
    print_report(surroundings, sections)
    if arguments.json:
        report = {
            "schema": 1,
            "environment": surroundings,
            "sections": [section.json() for section in sections],
            "warnings": [warning for section in sections for warning in section.warnings()],
        }
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
