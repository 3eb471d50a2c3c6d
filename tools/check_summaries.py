"""Lists public symbols without a summary; tools/docs runs it.

    check_summaries.py SYMBOL_GRAPHS

Not asked for: what the compiler makes, what a protocol documents, and cases and properties that need no word beyond
their type's, which is said with the path below.
"""

import json
import sys
from pathlib import Path

# What every module has for the sake of its protocol.
SELF_EXPLANATORY = {
    "path", "forward(_:)", "description", "rawValue", "init(rawValue:)", "==(_:_:)", "hash(into:)", "startIndex", "endIndex",
}  # fmt: skip


def undocumented(graph):
    for symbol in graph["symbols"]:
        path = symbol["pathComponents"]
        is_made = "::SYNTHESIZED::" in symbol["identifier"]["precise"]
        is_extension = symbol["kind"]["identifier"] == "swift.extension"  # its members have summaries
        if "docComment" in symbol or is_made or is_extension or path[-1] in SELF_EXPLANATORY:
            continue
        location = symbol.get("location", {})
        if location:
            line = location["position"]["line"] + 1
            yield f"{Path(location['uri']).name}:{line}: {graph['module']['name']}.{'.'.join(path)}"


def main():
    found = set()
    for file in Path(sys.argv[1]).rglob("*.symbols.json"):
        found.update(undocumented(json.loads(file.read_text())))
    for line in sorted(found):
        print(line)
    if found:
        raise SystemExit(f"docs: {len(found)} public symbols have no summary")


if __name__ == "__main__":
    main()
