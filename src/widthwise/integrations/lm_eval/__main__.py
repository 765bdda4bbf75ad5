"""The harness's own command line, with the model ``widthwise``."""

from __future__ import annotations

from lm_eval.__main__ import cli_evaluate

import widthwise.integrations.lm_eval  # noqa: F401

if __name__ == "__main__":
    cli_evaluate()
