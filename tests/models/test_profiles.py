"""How a model's family is recognised, and what that says about the model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from widthwise.backends.model_facts import facts_in
from widthwise.core.errors import UsageError
from widthwise.core.prompting.profile import ModelFacts
from widthwise.core.registry import entries
from widthwise.core.roles import ROLES
from widthwise.models.profiles import profile_of

REASONER = Path(__file__).parents[2] / "models" / "reasoner"
CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
HYBRID = CHATML + "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
R1 = "{{ '<\uff5cUser\uff5c>' + messages[0].content + '<\uff5cAssistant\uff5c><think>\\n' }}"
PARENTS = ["models", "2026-apr", "reasoner-runs", "deepseek-r1/qwen3", "PRM/reward-rm", "gpt-oss llama-3 multiverse"]


def checkpoint(folder: Path, template: str | None = None, generation: object = None, **config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


@pytest.mark.parametrize("parent", PARENTS)
@pytest.mark.parametrize(
    ("name", "template", "model_type", "family"),
    [
        ("Qwen3-8B", HYBRID, "qwen3", "qwen3"),
        ("checkpoint-400", HYBRID, "qwen3", "qwen3"),
        ("Qwen3-8B", None, "llama", "qwen3"),
        ("my-qwen", R1, "qwen2", "deepseek-r1"),
        ("Llama-3.1-8B", "{{ '<|start_header_id|>' }}", "llama", "llama3"),
        ("Qwen2.5-Math-7B", r"{{ 'put your final answer within \\boxed{}' }}", "qwen2", "qwen2.5-math"),
        ("anything", None, "gpt_oss", "gpt-oss"),
        ("anything", CHATML, "unheard_of", "generic"),
        ("ThreadWeaver-8B", HYBRID, "qwen3", "threadweaver"),
        ("apr_cond10_grpo", None, "llama", "apr"),
        ("shaprio", None, "llama", "generic"),
    ],
)
def test_the_folders_above_a_checkpoint_change_nothing(
    tmp_path: Path, parent: str, name: str, template: str | None, model_type: str, family: str
) -> None:
    folder = checkpoint(tmp_path / parent / name, template, model_type=model_type)
    assert profile_of(facts_in(folder, f"vllm:{folder}")).name == family


@pytest.mark.parametrize("parent", PARENTS)
def test_a_copy_of_the_bundled_model_is_known_wherever_it_lies(tmp_path: Path, parent: str) -> None:
    folder = tmp_path / parent / "copy"
    shutil.copytree(REASONER, folder)
    profile = profile_of(facts_in(folder, f"embedded:{folder}"))
    assert (profile.name, profile.format.template) == ("reasoner", "{problem}")
    assert "config.json" in profile.why


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("http:Qwen/Qwen3-8B", "qwen3"),
        ("qwen3:8b", "qwen3"),
        ("replay:deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "deepseek-r1"),
        ("openai/gpt-oss-20b", "gpt-oss"),
        ("Magistral-Small", "magistral"),
        ("embedded:reasoner", "reasoner"),
        ("reasoner-like", "generic"),
    ],
)
def test_where_only_a_name_is_known_the_name_counts(name: str, family: str) -> None:
    profile = profile_of(ModelFacts(name))
    assert profile.name == family
    assert (profile.thinking is not None) == (family in ("qwen3", "deepseek-r1", "gpt-oss", "magistral"))


def test_the_template_decides_whether_a_model_thinks(tmp_path: Path) -> None:
    hybrid = profile_of(facts_in(checkpoint(tmp_path / "a", HYBRID, model_type="qwen3"), "a"))
    instruct = profile_of(facts_in(checkpoint(tmp_path / "b", CHATML, model_type="qwen3"), "b"))
    assert hybrid.thinking is not None
    assert hybrid.thinking.off == {"enable_thinking": False}
    assert instruct.thinking is None


@pytest.mark.parametrize(
    ("template", "opening", "off"),
    [
        ("{% if thinking %}<think>{% else %}</think>{% endif %}", "<think>", {"thinking": False}),
        ("say 'detailed thinking on' </think>", "<think>", {}),
        ("[THINK]{{ x }}[/THINK]", "[THINK]", {}),
        ("{{ '<seed:think>' }}", "<seed:think>", {}),
        ("<|channel|>analysis", "<|channel|>analysis<|message|>", {}),
    ],
)
def test_marks_are_read_from_the_template(tmp_path: Path, template: str, opening: str, off: object) -> None:
    thinking = profile_of(facts_in(checkpoint(tmp_path / "m", template), "m")).thinking
    assert thinking is not None
    assert thinking.marks[0][0] == opening
    assert thinking.off == off


def test_a_format_can_be_named(tmp_path: Path) -> None:
    facts = facts_in(checkpoint(tmp_path / "m", HYBRID, model_type="qwen3"), "m")
    named = profile_of(facts, "threadweaver")
    assert (named.name, named.format.threads) == ("threadweaver", "threadweaver")
    assert named.sampling["temperature"] == 0.6
    assert profile_of(facts, "llama3").name == "llama3"
    with pytest.raises(UsageError, match="unknown prompt format 'lama3'; did you mean 'llama3'"):
        profile_of(facts, "lama3")


def test_every_name_is_a_profile_of_that_name() -> None:
    for name in [entry.name for entry in entries(ROLES["prompt_format"])]:
        assert profile_of(ModelFacts("x"), name).name == name


def test_the_models_own_settings_go_before_its_familys_recommendation(tmp_path: Path) -> None:
    stated = {"temperature": 0.3, "eos_token_id": [1, 2], "do_sample": True, "top_k": 7}
    profile = profile_of(facts_in(checkpoint(tmp_path / "m", HYBRID, stated, model_type="qwen3"), "m"))
    assert profile.recommended({}) == {"temperature": 0.3, "top_k": 7}
    assert profile.sampling_from == "the model's generation_config.json"
    assert profile.recommended({"enable_thinking": False}) == {"temperature": 0.7, "top_p": 0.8, "top_k": 20}
    silent = profile_of(facts_in(checkpoint(tmp_path / "n", HYBRID, {"eos_token_id": 3}, model_type="qwen3"), "n"))
    assert silent.recommended({}) == {"temperature": 0.6, "top_p": 0.95, "top_k": 20}
    assert silent.sampling_from == "the recommendation for qwen3"
