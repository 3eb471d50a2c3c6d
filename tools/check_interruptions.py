"""Ends rsw convert at random moments, and lets disks run full: nothing may be left but the old file.

    tools/python tools/check_interruptions.py [--rsw PATH] [--rounds 40]

A checkpoint of 100 MB is converted to every format over an existing file, and killed (SIGKILL, SIGINT or SIGTERM)
after a random time; then it is converted on a file system of 8 MB. Whatever happens, the folder must hold the
old file with its old content, or the new one complete, and nothing else. But for one instant: a file without a name gets
one of its own before it takes another's place, and a conversion that is killed between these two calls leaves it, complete.
Mounting takes root, or a kernel on which users may have namespaces of their own.
"""

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parent.parent
SEED = 1
NAMES = ("out.rsw", "out.safetensors", "out.pth", "out.npz", "out.safetensors --shard 30MB")
# What a full disk ends with: EX_CANTCREAT of sysexits.h
FULL = 73


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def large_checkpoint(path):
    generator = torch.Generator().manual_seed(SEED)
    torch.save({f"layer{n}.weight": torch.randn(1000, 2500, generator=generator) for n in range(10)}, path)


def contents(folder):
    return {path.name: digest(path) for path in folder.iterdir()}


def written(rsw, source, folder, options):
    """What a conversion that is left alone writes, and the seconds it takes."""
    name, *rest = options.split()
    started = time.perf_counter()
    subprocess.run([rsw, "convert", source, folder / name, *rest, "--quiet"], check=True)
    return contents(folder), time.perf_counter() - started


def interrupt(rsw, source, options, rounds, chance):
    """Kills conversions; returns the complaints and how many of them were in time."""
    name, *rest = options.split()
    complaints, interrupted = [], 0
    with tempfile.TemporaryDirectory() as folder:
        complete, seconds = written(rsw, source, Path(folder), options)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            for file in complete:
                (folder / file).write_text(f"the old {file}")
            old = contents(folder)
            command = [rsw, "convert", source, folder / name, *rest, "--force", "--quiet"]
            process = subprocess.Popen(command)
            time.sleep(chance.uniform(0, seconds))
            process.send_signal(chance.choice([signal.SIGKILL, signal.SIGINT, signal.SIGTERM]))
            interrupted += process.wait() != 0
            now = contents(folder)
            # Files that are written together get their names one after the other.
            complete_ones = {
                file for file in now if file.startswith(".rsw-") and now[file] in complete.values()
            }
            litter = (now.keys() ^ old.keys()) - complete_ones
            broken = [file for file in now.keys() & old.keys() if now[file] not in (old[file], complete[file])]
            if litter or broken:
                complaints.append(f"{options}: {sorted(litter)} is left, {sorted(broken)} is neither old nor new")
    return complaints, interrupted


# Run in a namespace of mounts: rsw on a small disk that holds an old file, and what is there afterwards.
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=8m none "$1" && cd "$1" && echo old > "$4" &&
"$2" convert "$3" "$4" --force --quiet "${@:5}"
echo "status $?"
for file in $(ls -A); do echo "file $file $(cat "$file" | head -c 20 | tr -d '\\0')"; done
"""


def fill_disk(rsw, source, options):
    """Converts to a disk that is too small; returns the complaints."""
    name, *rest = options.split()
    with tempfile.TemporaryDirectory() as folder:
        command = ["unshare", "--mount", "--map-root-user", "bash", "-c", ON_A_SMALL_DISK, "bash"]
        done = subprocess.run(
            [*command, folder, rsw, source, name, *rest], capture_output=True, text=True, check=True
        )
    expected = [f"status {FULL}", f"file {name} old"]
    if done.stdout.splitlines() == expected and "No space left" in done.stderr:
        return []
    return [f"{options} on a full disk: {done.stdout.strip()!r}, {done.stderr.strip()!r}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rsw", type=Path, default=ROOT / "tools" / "rsw", help="the rsw tool")
    parser.add_argument("--rounds", type=int, default=40, help="how often each format is interrupted")
    arguments = parser.parse_args()
    rsw = arguments.rsw.resolve()
    # Builds rsw if need be, so that no build is interrupted.
    subprocess.run([rsw, "--version"], check=True, stdout=subprocess.DEVNULL)
    if shutil.which("unshare") is None:
        sys.exit("unshare of util-linux is missing")
    chance = random.Random(SEED)
    complaints = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "large.pth"
        large_checkpoint(source)
        for options in NAMES:
            found, interrupted = interrupt(rsw, source, options, arguments.rounds, chance)
            complaints += found + fill_disk(rsw, source, options)
            print(f"{options}: interrupted {interrupted} of {arguments.rounds} times, one full disk")
    for complaint in complaints:
        print(complaint)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
