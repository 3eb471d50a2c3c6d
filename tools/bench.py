"""Compares the speed of rsw with that of other engines and loaders; run it as tools/bench.

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

import bench_engines
import bench_photos
import examples
import photo_images
from torchvision_models import full_resnet, randomize

# What is opened and converted
VARIANT = "resnet50"
# Tensors of a state dict of many small ones
MANY = 3000

IMAGE_SIZE = bench_engines.IMAGE_SIZE
SEED = 1

CELLS = [
    (variant, batch, threads)
    for variant in ("resnet18", "resnet50")
    for batch in (1, 16)
    for threads in (1, 2)
]
# Deeper and wider ones
LARGE_CELLS = [
    (variant, 1, threads)
    for variant in ("resnet101", "resnet152", "resnext50_32x4d", "wide_resnet50_2")
    for threads in (1, 2)
]
# Seconds before each turn
PAUSE = 0.2

# Passes a turn, by batch size
PASSES = {1: 4, 16: 1}

# A network that is no ResNet: Examples/MobileNetV2
MOBILENET = "mobilenet_v2"
MOBILENET_CELLS = [(MOBILENET, batch, threads) for batch in (1, 16) for threads in (1, 2)]
MOBILENET_PASSES = {1: 20, 16: 2}

CONVERSION_ROUNDS = 15
PYTHON_CONVERSIONS = 3
CHECK_ROUNDS = 15

OPENING_REPEATS = 10

# As phones take them: 12 megapixels
PHOTOS = 200
PHOTO_SIZE = (4000, 3000)
# Different pictures; each is several files, as making one takes seconds.
PICTURES = 8
PHOTO_ROUNDS = 3

# A median this much above the minimum means that something else was using the machine.
NOISE_LIMIT = 0.10

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
            # Threads of some engines spin for a while after a pass and would take a core from the next one.
            time.sleep(PAUSE)
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
    """The models that everything is measured with."""

    folder: Path

    def checkpoint(self, variant=VARIANT):
        return self.folder / f"{variant}.pth"

    def converted(self, variant=VARIANT):
        return self.folder / f"{variant}.rsw"

    @property
    def many(self):
        return self.folder / "many.pth"

    def make_network(self, variant):
        """A network of torchvision with random weights, as a checkpoint and for ONNX's engines."""
        model = randomize(full_resnet(variant), SEED)
        torch.save(model.state_dict(), self.checkpoint(variant))
        bench_engines.export_onnx(model, self.folder / f"{variant}.onnx")

    def make(self, rsw, variants):
        for variant in sorted({VARIANT, *variants}):
            self.make_network(variant)
            if variant == MOBILENET:
                continue
            convert = [rsw, "convert", self.checkpoint(variant), self.converted(variant)]
            subprocess.run(convert, check=True, stdout=sys.stderr)
        torch.save({f"blocks.{i}.weight": torch.zeros(4, i % 7 + 1) for i in range(MANY)}, self.many)


# --- Forward passes --------------------------------------------------------------------------


class Server:
    """A process that makes as many passes as each line asks for and answers with their milliseconds.

    Each engine has one of its own for a whole section, so that no engine's threads are there when
    another one is measured but asleep, and none is measured while it starts.
    """

    def __init__(self, command):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            list(map(str, command)), stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
        )

    def wait_until_ready(self):
        for line in self.process.stdout:
            if line.strip() == "ready":
                return
        raise SystemExit(f"bench: {self.process.args} ended before it was ready")

    def passes(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.kill()
        self.process.wait()


def engine_commands(rsw, files, variant, batch, threads):
    if variant == MOBILENET:
        own = [examples.built("MobileNetV2", "timing"), files.checkpoint(variant), batch, threads]
    else:
        own = [rsw, "bench", files.converted(variant), "--on-demand", "--batch", batch, "--threads", threads]
    commands = {"rsw": own}
    for name in bench_engines.ENGINES:
        model = files.folder / variant
        commands[name] = [sys.executable, bench_engines.__file__, name, model, batch, threads]
    return commands


def run_forward_section(rsw, files, rounds, variant, batch, threads):
    passes = (MOBILENET_PASSES if variant == MOBILENET else PASSES)[batch]
    servers = {
        name: Server(command)
        for name, command in engine_commands(rsw, files, variant, batch, threads).items()
    }
    try:
        for server in servers.values():
            server.wait_until_ready()
        section = Section(
            f"{variant} forward, batch {batch}, {IMAGE_SIZE}x{IMAGE_SIZE}, {threads} thread(s)",
            [
                Contender(name, lambda server=server: server.passes(passes))
                for name, server in servers.items()
            ],
        )
        section.run(rounds)
    finally:
        for server in servers.values():
            server.end()
    return section


# --- Conversion ------------------------------------------------------------------------------


def whole_process(command, destination):
    """Milliseconds from starting a command, which makes a new file, to its end."""
    destination.unlink(missing_ok=True)
    # Otherwise the kernel would write the previous contender's file while this one is timed.
    os.sync()
    return milliseconds(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def conversion_contenders(rsw, files):
    """Ways to make a file of 100 MB from a checkpoint; cp is the fastest one can hope for."""
    source = files.checkpoint()
    targets = {suffix: files.folder / f"output.{suffix}" for suffix in ("rsw", "safetensors", "pth")}
    python = [sys.executable, "-c", PYTHON_CONVERSION, source, targets["safetensors"]]
    commands = {"cp": (["cp", source, targets["pth"]], targets["pth"])}
    for suffix, target in targets.items():
        commands[f"rsw convert, .{suffix}"] = ([rsw, "convert", source, target], target)
    commands["torch.load + save_file"] = (python, targets["safetensors"])
    return [
        Contender(name, lambda command=command, target=target: whole_process(command, target))
        for name, (command, target) in commands.items()
    ]


def run_conversions(rsw, files):
    section = Section("Conversion of ResNet-50, whole process", conversion_contenders(rsw, files))
    *others, python = section.contenders
    # A first, unmeasured copy brings the checkpoint into the page cache.
    others[0].measure()
    # Python is so much slower that a few runs tell enough.
    take_turns([*others, python], PYTHON_CONVERSIONS)
    take_turns(others, CONVERSION_ROUNDS - PYTHON_CONVERSIONS)
    return section


# --- Checks ----------------------------------------------------------------------------------


def run_checks(rsw, files):
    """verify of one file of 100 MB, diff of two, and what starting a process takes of it."""
    checkpoint, converted = files.checkpoint(), files.converted()
    copy, tuned = files.folder / "copy.pth", files.folder / "tuned.pth"
    copy.write_bytes(checkpoint.read_bytes())
    state = torch.load(checkpoint, weights_only=True)
    torch.save({name: tensor * 1.001 if tensor.ndim else tensor for name, tensor in state.items()}, tuned)
    commands = {
        "rsw --version": [rsw, "--version"],
        "rsw verify, .pth": [rsw, "verify", checkpoint],
        "rsw verify, .rsw": [rsw, "verify", converted],
        "rsw diff, equal": [rsw, "diff", checkpoint, copy],
        "rsw diff, all values differ": [rsw, "diff", checkpoint, tuned],
    }
    section = Section(
        "Checks of ResNet-50, whole process",
        [
            # diff ends with 1 where something differs.
            Contender(name, lambda command=command: milliseconds(lambda: run_quietly(command)))
            for name, command in commands.items()
        ],
    )
    section.run(CHECK_ROUNDS)
    return section


def run_quietly(command):
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


# --- Photos ----------------------------------------------------------------------------------


def make_photos(folder):
    folder.mkdir()
    pictures = [
        photo_images.jpeg(photo_images.photo(*PHOTO_SIZE, seed), subsampling=2) for seed in range(PICTURES)
    ]
    paths = [folder / f"{index:03}.jpg" for index in range(PHOTOS)]
    for index, path in enumerate(paths):
        path.write_bytes(pictures[index % PICTURES])
    return paths


def classify_in_rsw(command):
    """Milliseconds of the whole process, and the best class of each photo."""
    started = time.perf_counter()
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    elapsed = (time.perf_counter() - started) * 1000
    return elapsed, [json.loads(line)["predictions"][0]["class"] for line in printed.splitlines()]


def classify_in_python(command):
    """As classify_in_rsw, but without what starting takes: importing PyTorch alone is some seconds."""
    *lines, elapsed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()
    return float(elapsed), [int(line.split()[-1]) for line in lines]


def run_photos(rsw, files):
    """Photos to classes: the whole of rsw, the rest without starting."""
    paths = make_photos(files.folder / "photos")
    found = {}

    def measure(name, classify, *command):
        elapsed, found[name] = classify(list(map(str, command)))
        return [elapsed]

    def ours():
        return measure("rsw", classify_in_rsw, rsw, "classify", files.converted(), *paths, "--top", 1)

    def theirs():
        model = files.folder / f"{VARIANT}.onnx"
        script = bench_photos.__file__
        return measure("theirs", classify_in_python, sys.executable, script, model, *paths)

    section = Section(
        f"{PHOTOS} photos of {PHOTO_SIZE[0]}x{PHOTO_SIZE[1]} through ResNet-50",
        [Contender("rsw classify", ours), Contender("torchvision + ONNX Runtime", theirs)],
    )
    section.run(PHOTO_ROUNDS)
    if found["rsw"] != found["theirs"]:
        raise SystemExit("bench: the contenders found different classes")
    return section


def print_photo_rates(section):
    print()
    for contender in section.contenders:
        print(f"{contender.name}: {PHOTOS * 1000 / contender.median():.2f} photos/s")


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
    checkpoint, converted, many = files.checkpoint(), files.converted(), files.many
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
    report = rsw_bench(rsw, files.converted(), "--repeat", 1)
    return {
        "cpu": cpu_model(),
        "logical_cpus": os.cpu_count(),
        "openblas_core": report["core"],
        "rsw_vectors": report["instructions"],
        "peak_gflops": round(report["peak_gflops"], 1),
        **bench_engines.versions(),
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


def print_summary(sections):
    """How much of each engine's time rsw takes, for every cell."""
    names = [contender.name for contender in sections[0].contenders]
    print("\nmedian ms, and rsw's share of it")
    print("  ".join(["".ljust(32), *(name.rjust(18) for name in names)]))
    for section in sections:
        own = section.contenders[0].median()
        cells = [
            f"{contender.median():9.1f} ({own / contender.median():.2f})".rjust(18)
            for contender in section.contenders
        ]
        print("  ".join([section.title.replace(f", {IMAGE_SIZE}x{IMAGE_SIZE}", "").ljust(32), *cells]))


def run_all(rsw, rounds, only):
    with tempfile.TemporaryDirectory() as folder:
        files = Files(Path(folder))
        cells = CELLS if only in (None, "forward") else []
        cells = cells + (LARGE_CELLS if only in (None, "large") else [])
        cells = cells + (MOBILENET_CELLS if only in (None, "mobilenet") else [])
        files.make(rsw, [variant for variant, _, _ in cells])
        surroundings = environment(rsw, files)
        forward = [run_forward_section(rsw, files, rounds, *cell) for cell in cells]
        others = []
        if only in (None, "files"):
            others = opening_sections(rsw, files)
            for section in others:
                section.run(rounds)
            others += [run_conversions(rsw, files), run_checks(rsw, files)]
        if only in (None, "photos"):
            others.append(run_photos(rsw, files))
    return surroundings, forward, others


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench")
    parser.add_argument("--rsw", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--json", type=Path, help="also write the results, samples and all, here")
    parser.add_argument("--rounds", type=int, default=7, help="turns per contender (default: 7)")
    only = parser.add_mutually_exclusive_group()
    for name, what in (
        ("forward", "passes of ResNet-18 and ResNet-50"),
        ("large", "passes of deeper and wider ResNets"),
        ("mobilenet", "passes of MobileNetV2, the network of Examples/MobileNetV2"),
        ("files", "opening, converting and checking files"),
        ("photos", "photos to classes"),
    ):
        only.add_argument(f"--{name}", dest="only", action="store_const", const=name, help=f"only {what}")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    return arguments


def main():
    arguments = parse_arguments()
    surroundings, forward, others = run_all(arguments.rsw, arguments.rounds, arguments.only)
    sections = forward + others
    print_report(surroundings, sections)
    if forward:
        print_summary(forward)
    if arguments.only in (None, "photos"):
        print_photo_rates(sections[-1])
    if arguments.json:
        report = {
            "schema": 2,
            "environment": surroundings,
            "sections": [section.json() for section in sections],
            "warnings": [warning for section in sections for warning in section.warnings()],
        }
        arguments.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
