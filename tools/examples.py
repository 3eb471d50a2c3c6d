"""The packages under Examples/, built where all of them share the libraries."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = ROOT / ".build-examples"


def built(package, product):
    """The path of an example's executable, which is up to date."""
    folder = ROOT / "Examples" / package
    # The build's description is of the package before, and SwiftPM takes it for this one's.
    (SCRATCH / "release.yaml").unlink(missing_ok=True)
    build = ["swift", "build", "--package-path", folder, "--scratch-path", SCRATCH, "-c", "release"]
    subprocess.run([*build, "--product", product], check=True, stdout=sys.stderr)
    return SCRATCH / "release" / product
