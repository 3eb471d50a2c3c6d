"""Makes the system's calls fail, one kind at a time: rsw must say which failed and why, and leave nothing behind.

    python3 tools/check_system_errors.py [--rsw PATH]

strace lets a call fail without making it, so that disks that break, exhausted memory and missing libraries
are tried on any machine. Where processes may not be traced, the check says so and ends.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CHECKPOINT = ROOT / "Fixtures" / "digits" / "resnet18-digits.pth"
# sysexits.h: EX_USAGE, EX_NOINPUT, EX_UNAVAILABLE and EX_CANTCREAT
USAGE, NO_INPUT, UNAVAILABLE, CANNOT_CREATE = 64, 66, 69, 73


def libraries(name):
    """The paths at which the loader looks for a library: /lib and /usr/lib may be one folder."""
    lines = subprocess.run(["/sbin/ldconfig", "-p"], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [line.split(" => ")[1] for line in lines.splitlines() if name in line]
    # Without paths all calls would fail.
    return [root + path.removeprefix("/usr") for path in found for root in ("", "/usr")] or ["/none"]


def cases(source, target):
    """What is run, which calls fail how, on which paths (none: on any), what is said then, the status, and what is left."""
    convert = ["convert", source, target, "--quiet"]
    listing = ["ls", source]
    fetch = ["fetch", "resnet18"]
    blas = ["bench", source, "--engine", "blas"]
    io, space = "Input/output error", "No space left on device"
    no_curl = (
        "rsw: downloading needs libcurl, which is not installed: run 'apt-get install libcurl4', or download "
        "https://download.pytorch.org/models/resnet18-f37072fd.pth to "
        f"{source.parent}/home/.cache/torch/hub/checkpoints/."
    )
    no_blas = (
        "Error: OpenBLAS is not installed. Install it (libopenblas0), or leave --engine out.\n"
        "Usage: rsw bench [<options>] <model>\n  See 'rsw bench --help' for more information."
    )
    written = f"rsw: {target}: can't be written: {{}}."
    return [
        (listing, "openat:error=EMFILE", [source], f"rsw: {source}: can't be opened: Too many open files.", NO_INPUT, 0),
        (listing, "fstat,newfstatat:error=EIO", [source], f"rsw: {source}: can't be examined: {io}.", NO_INPUT, 0),
        (listing, "mmap:error=ENOMEM", [source], f"rsw: {source}: can't be mapped: Cannot allocate memory.", NO_INPUT, 0),
        (convert, "pread64:error=EIO", [source], f'rsw: {source}: record "{source.stem}/byteorder": can\'t be read: {io}.', NO_INPUT, 0),
        (convert, "fallocate:error=ENOSPC", [], written.format(space), CANNOT_CREATE, 0),
        (convert, "pwrite64:error=EIO", [], written.format(io), CANNOT_CREATE, 0),
        (convert, "linkat,rename:error=EIO", [], f"rsw: {target}: can't be completed: {io}.", CANNOT_CREATE, 0),
        ([*convert, "--sync"], "fsync:error=EIO:when=1", [], f"rsw: {target}: can't be brought to the disk: {io}.", CANNOT_CREATE, 0),
        ([*convert, "--sync"], "fsync:error=EIO:when=2", [], f"rsw: {target}: is written, but its folder can't be brought to the disk: {io}.", CANNOT_CREATE, 1),
        (fetch, "openat:error=ENOENT", libraries("libcurl"), no_curl, UNAVAILABLE, 0),
        (blas, "openat:error=ENOENT", libraries("libopenblas"), no_blas, USAGE, 0),
    ]  # fmt: skip


def run(rsw, arguments, failure, paths, folder):
    """The status of a run whose calls fail, and what it said."""
    command = ["strace", "--follow-forks", "--quiet=all", "--output=/dev/null", f"--inject={failure}"]
    command += [f"--trace-path={path}" for path in paths]
    result = subprocess.run(
        [*command, rsw, *arguments], capture_output=True, text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)}, check=False,
    )  # fmt: skip
    return result.returncode, result.stderr.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rsw", type=Path, default=ROOT / ".build" / "tool" / "release" / "rsw")
    rsw = parser.parse_args().rsw
    if not shutil.which("strace"):
        raise SystemExit("strace is missing: install it")
    if subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, stderr=subprocess.DEVNULL).returncode:
        print("not checked: this system lets no process be traced")
        return
    complaints = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(shutil.copy(CHECKPOINT, folder))
        target = Path(folder) / "out" / "out.rsw"
        for arguments, failure, paths, expected, status, left in cases(source, target):
            target.parent.mkdir()
            found = run(rsw, arguments, failure, paths, Path(folder) / "home")
            files = len(list(target.parent.iterdir()))
            if found != (status, expected) or files != left:
                complaints.append(f"{failure}: {found} and {files} files, expected {(status, expected)} and {left}")
            print(f"{failure}: {found[1]}")
            shutil.rmtree(target.parent)
    if complaints:
        raise SystemExit("failed:\n" + "\n".join(complaints))
    print("passed: what the system refuses is said, and nothing is left behind")


if __name__ == "__main__":
    main()
