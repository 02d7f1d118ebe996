"""Badges of README.md, from pyproject.toml: `python docs/tools/badges.py` rewrites docs/badges/."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{label}: {value}">
<rect width="{width}" height="20" rx="3" fill="#444"/>
<path d="M{left} 0h{rest}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z" fill="#00796b"/>
<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">
<text x="6" y="14">{label}</text><text x="{start}" y="14">{value}</text></g></svg>
"""


def badges() -> dict[str, str]:
    """The text of each file by its name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shown = {"version": project["version"], "python": project["requires-python"].replace(">=", "≥ "),
             "licence": project["license"]}
    return {f"{label}.svg": badge(label, value) for label, value in shown.items()}


def badge(label: str, value: str) -> str:
    """A picture of two words."""
    left, right = 7 * len(label) + 12, 8 * len(value) + 12
    return _SVG.format(width=left + right, left=left, rest=right - 3, start=left + 6, label=label, value=value)


if __name__ == "__main__":
    for name, text in badges().items():
        (ROOT / "docs" / "badges" / name).write_text(text, encoding="utf-8")
