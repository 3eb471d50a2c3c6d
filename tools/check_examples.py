"""Checks the Swift code in README.md and in the articles of the libraries; tools/check_examples runs it.

    check_examples.py SCRATCH

The code blocks of a page are compiled as one program, in order, against the modules that were built in SCRATCH. Blocks
after a comment `<!-- From FILE -->` are a file's: joined, they must be what the file has behind its first comment.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("Sources/*/*.docc/*.md"))]
# Where the module maps of the libraries' C modules are
C_MODULES = sorted(path.parent for path in (ROOT / "Sources").rglob("module.modulemap"))

BLOCK = re.compile(r"^```swift\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ORIGIN = re.compile(r"<!-- From (\S+) -->\s*$")


def blocks(page):
    """Each block's text, line number, and the file that it is from, or None."""
    text = page.read_text()
    for match in BLOCK.finditer(text):
        origin = ORIGIN.search(text[: match.start()])
        yield match[1], text.count("\n", 0, match.start()) + 2, origin and origin[1]


def without_first_comment(text):
    lines = text.splitlines()
    while lines and (lines[0].startswith("//") or not lines[0]):
        lines.pop(0)
    return "\n".join(lines).strip()


def check_quotations(page):
    """Complaints about blocks that differ from the file that they are from."""
    quoted = {}
    for text, _, origin in blocks(page):
        if origin:
            quoted.setdefault(origin, []).append(text.strip())
    for origin, parts in quoted.items():
        file = ROOT / origin
        if not file.exists():
            yield f"{page.relative_to(ROOT)}: there is no {origin}"
        elif "\n\n".join(parts) != without_first_comment(file.read_text()):
            yield f"{page.relative_to(ROOT)}: the code from {origin} is not what the file has"


def program(page):
    """The blocks of a page as one file, whose errors are placed on the page."""
    for text, line, origin in blocks(page):
        if not origin:
            yield f'#sourceLocation(file: "{page.relative_to(ROOT)}", line: {line})\n{text}'


def compile_page(page, modules, folder):
    """What the compiler has to say about a page's code."""
    source = folder / "main.swift"
    source.write_text("".join(program(page)))
    includes = [f"-I{path}" for path in [modules, *C_MODULES]]
    # Whole, as an error of the compiler may come after all types are right.
    command = ["swiftc", "-emit-object", "-swift-version", "6", *includes, source, "-o", folder / "main.o"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stderr if result.returncode else ""


def main():
    modules = Path(sys.argv[1]) / "release" / "Modules"
    if not modules.is_dir():
        raise SystemExit(f"check_examples: nothing is built in {sys.argv[1]}; run tools/check_examples")
    complaints, count = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for page in PAGES:
            found = sum(1 for _ in blocks(page))
            if not found:
                continue
            count += found
            complaints += check_quotations(page)
            complaints += filter(None, [compile_page(page, modules, Path(folder))])
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    if complaints:
        raise SystemExit("check_examples: some code on these pages does not hold")
    print(f"check_examples: {count} blocks of code compile")


if __name__ == "__main__":
    main()
