"""Cells of docs/methods.md: what a test that reached its end has shown. `node tools/methods.mjs` collects them."""

import json
import os


def shown(method: str, base: str, *properties: str, mark: str = "✓") -> None:
    """Says that a method has properties on bases stored in a dtype or codec, or what it has instead; the last line of a test."""
    if file := os.environ.get("TEMPER_CELLS"):
        with open(file, "a") as out:
            out.writelines(json.dumps({"method": method, "base": base, "property": name, "mark": mark}) + "\n" for name in properties)
