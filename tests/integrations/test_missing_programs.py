"""Without the program that an integration is for, the error says how to install it."""

from __future__ import annotations

import importlib
import sys

import pytest


@pytest.mark.parametrize(("module", "extra"), [("inspect", "inspect"), ("lm_eval", "lm-eval")])
def test_a_program_that_is_not_installed_is_named(module: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"widthwise.integrations.{module}"
    for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setattr("importlib.util.find_spec", lambda asked: None)
    with pytest.raises(ModuleNotFoundError, match=rf"is not installed: pip install .*\[{extra}\]"):
        importlib.import_module(name)
