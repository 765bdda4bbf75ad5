"""This package as if installed, with the entry points that its project declares."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def installed(site: Path, package: Path) -> Path:
    """``site``, a folder for ``PYTHONPATH``, with a link to ``package`` and the entry points for other programs."""
    about = site / "widthwise-0.dist-info"
    about.mkdir(parents=True)
    (site / "widthwise").symlink_to(package)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: widthwise\nVersion: 0\n")
    lines = [
        line
        for group, points in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site
