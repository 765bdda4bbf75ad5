"""``--show-prompts`` for each family, with only its tokenizer: the exact text, and how drafts are quoted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.families.cells import EVERY
from tests.families.checkpoints import Checkpoints
from tests.families.talker import PROBLEM, Family, Talker
from tests.families.test_prompts_of_families import reference
from widthwise.cli.prompt_files import sent
from widthwise.evals.suites.hub import MATH
from widthwise.evals.suites.suite import Suite
from widthwise.evaluation import Evaluation
from widthwise.models.formats import BOXED
from widthwise.settings import RunSettings

pytestmark = pytest.mark.vllm  # the reference is the transformers library, which vLLM installs

STRATEGY = "parallel_distill_refine(drafts=(2, 1)) | generative_verification(k=1)"


@pytest.mark.parametrize("name", EVERY)
async def test_shown_prompts(checkpoints: Checkpoints, tmp_path: Path, name: str) -> None:
    family = Family(name, checkpoints(name))
    settings = RunSettings.of(STRATEGY, model=f"vllm:{family.folder}")
    suite = Suite("one", (PROBLEM,), MATH, "", BOXED)
    shown = {each.name: each.example for each in await sent(Evaluation.of(suite, settings, run=tmp_path / "x.db"))}
    assert list(shown) == ["solve", "summarise", "refine_summary", "verify"]
    messages = family.setting(Talker(family.tokenizer, lambda *_: "")).format.messages(PROBLEM, BOXED)
    ids = reference(family.folder).apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    assert shown["solve"] == family.tokenizer.decode(ids)
    assert "(line 1 of reply 2)" in shown["summarise"]
    assert not any("thinks)" in text for text in shown.values())
    assert not (tmp_path / "x.db").exists()
