"""Holds the table of targets in docs/Architecture.md against what the code imports."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| (`\w+`.*?) \| .* \| (.*) \|$", re.MULTILINE)
NAME = re.compile(r"`(\w+)`")
IMPORT = re.compile(r"^ *(?:@\w+ +)*(?:\w+ +)?import +(\w+)", re.MULTILINE)
# What comes with Swift or the system
SYSTEM = {"Darwin", "Dispatch", "Foundation", "FoundationEssentials", "Glibc", "Musl", "Synchronization"}


def imports(target):
    files = (ROOT / "Sources" / target).rglob("*.swift")
    return {name for file in files for name in IMPORT.findall(file.read_text())} - SYSTEM


def main():
    table = (ROOT / "docs" / "Architecture.md").read_text().split("\n## ")[0]
    said = {}
    for targets, imported in ROW.findall(table):
        said |= {target: set(NAME.findall(imported)) for target in NAME.findall(targets)}
    complaints = []
    for target in sorted(path.name for path in (ROOT / "Sources").iterdir() if path.is_dir()):
        if target not in said:
            complaints.append(f"{target} is not in the table")
        elif said[target] != imports(target):
            complaints.append(f"{target} imports {sorted(imports(target))}, the table says {sorted(said[target])}")
    if complaints:
        raise SystemExit("check_imports: docs/Architecture.md: " + "; ".join(complaints))
    print(f"check_imports: {len(said)} targets import what docs/Architecture.md says")


if __name__ == "__main__":
    main()
