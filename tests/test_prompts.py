"""Every prompt that a strategy sends can be shown, and replaced by a user's own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import widthwise as ww
from widthwise.cli.app import app
from widthwise.models.formats import GENERIC

MODEL = Path(__file__).parents[1] / "models" / "reasoner"
QUESTION = "Compute (17 + 5) * 3 - 48."
FIRST = "Compute 87 * 11 - 80."


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_modules: None) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluated(*arguments: str, strategy: str = "threads(max_tokens=8)") -> Result:
    fixed = ["--limit", "1", "--max-tokens", "8", "--strategy", strategy]
    return CliRunner().invoke(app, ["eval", "arithmetic", *fixed, *arguments])


def test_show_prompts_shows_what_was_sent_and_stores_nothing(here: Path) -> None:
    shown = evaluated("--show-prompts").stdout
    assert "== threads ==" in shown
    assert "-- template --\n{task}<spawn>{width}" in shown
    assert "<spawn>8" in shown.partition("-- example --")[2]
    assert "solve" not in shown
    assert not (here / "runs").exists()


def test_show_prompts_as_json_with_the_forms_of_what_is_listed(here: Path) -> None:
    (here / "mine.py").write_text(
        "async def twice(session):\n"
        "    [draft] = await session.sample(session.root)\n"
        "    drafts = session.listed('draft', [draft.completion])\n"
        "    await session.sample(session.prompt([{'role': 'user', 'content': 'Hm?'}]))\n"
        "    return await session.sample(session.ask('refine', drafts=drafts, after=[draft]))\n"
    )
    prompts = json.loads(evaluated("--show-prompts", "--json", strategy="mine:twice").stdout)["prompts"]
    assert [prompt["name"] for prompt in prompts] == ["solve", None, "refine"]
    assert prompts[2]["template"] == "{problem}{drafts}<refine>"
    assert prompts[2]["forms"] == [["each_draft", "<draft>{text}"]]
    assert "<draft>" in prompts[2]["example"]
    assert "Hm?" in prompts[1]["example"]


def test_a_prompt_of_ones_own_is_sent_and_belongs_to_the_run(here: Path) -> None:
    (here / "a.txt").write_text("Please: {problem}\n")
    (here / "b.txt").write_text("Now: {problem}\n")
    first = evaluated("--prompt", "solve=a.txt", "--run", "x.db", "--json", strategy="single()")
    assert first.exit_code == 0, first.output
    traces = json.loads(CliRunner().invoke(app, ["traces", "x.db", "arithmetic-2026-0000", "--json"]).stdout)["traces"]
    assert "Please: " in traces[0]["prompt"]
    manifest = json.loads(CliRunner().invoke(app, ["traces", "x.db", "--json"]).stdout)
    assert manifest["configuration"]["prompts"] == {"solve": "Please: {problem}"}
    other = evaluated("--prompt", "solve=b.txt", "--run", "x.db", strategy="single()")
    assert other.exit_code == 2
    assert "other settings (prompts" in other.stderr
    assert evaluated("--run", "x.db", strategy="single()").exit_code == 2


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("solv=a.txt", "has no prompt 'solv'; did you mean 'solve'? it has: "),
        ("solve=bad.txt", "the place {answer}, which nothing fills; it may have: {instruction}, {problem}"),
        ("solve=none.txt", "cannot be read from none.txt"),
        ("solve", "is not NAME=FILE"),
    ],
)
def test_a_wrong_prompt_is_one_sentence_and_leaves_no_run(here: Path, option: str, words: str) -> None:
    (here / "a.txt").write_text("{problem}")
    (here / "bad.txt").write_text("{problem} is {answer}")
    result = evaluated("--prompt", option, "--run", "x.db")
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (here / "x.db").exists()


def test_prompts_from_python() -> None:
    result = ww.solve(QUESTION, ww.Single(), prompts={"solve": "Hello. {problem}"}, max_tokens=4)
    assert f"Hello. {QUESTION}" in result.traces[0].path[0].text
    with pytest.raises(ww.UsageError, match="no prompt 'greet'"):
        ww.solve(QUESTION, ww.Single(), prompts={"greet": "Hello"})


def test_a_question_that_the_format_lacks_can_be_added(here: Path) -> None:
    strategy = "best_of_n(n=2) | gen_select()"
    (here / "choose.txt").write_text("{problem} {count} {drafts} Which one?\n")
    refused = evaluated(strategy=strategy)
    assert "--prompt choose=FILE" in " ".join(refused.stderr.split())
    asked = evaluated("--prompt", "choose=choose.txt", "--show-prompts", "--json", strategy=strategy)
    assert asked.exit_code == 0, asked.stderr
    prompts = {prompt["name"]: prompt for prompt in json.loads(asked.stdout)["prompts"]}
    assert prompts["choose"]["template"] == "{problem} {count} {drafts} Which one?"
    assert evaluated("--prompt", "choose=choose.txt", strategy=strategy).exit_code == 0


def test_only_known_questions_can_be_added_and_only_with_places_that_are_filled() -> None:
    with pytest.raises(ww.UsageError, match=r"no prompt 'chose'; did you mean 'choose'\? .*it can be given: .*vote"):
        ww.solve(QUESTION, ww.Single(), prompts={"chose": "{problem}"})
    with pytest.raises(ww.UsageError, match=r"place \{answer\}.*it may have: \{count\}, \{drafts\}"):
        ww.solve(QUESTION, ww.Single(), prompts={"choose": "{answer}"})


def test_a_sweep_shows_and_takes_prompts_too(here: Path) -> None:
    (here / "a.txt").write_text("Please: {problem}\n")
    fixed = ["sweep", "--suite", "arithmetic", "--limit", "1", "--budgets", "1,2", "--max-tokens", "4"]
    options = ["--strategy", "best_of_n(n=2)", "--strategy", "serial_search()", "--prompt", "solve=a.txt"]
    shown = CliRunner().invoke(app, [*fixed, *options, "--show-prompts"])
    assert shown.exit_code == 0, shown.output
    assert "Please: {problem}" in shown.stdout
    assert "{task}<search>{order}" in shown.stdout
    assert not (here / "sweep").exists()


def test_nothing_is_sampled_and_no_weights_are_needed_to_show_prompts(here: Path) -> None:
    folder = here / "tokenizer-only"
    folder.mkdir()
    for file in (MODEL / name for name in ("tokenizer.model", "config.json", "tokenizer_config.json")):
        if file.exists():
            (folder / file.name).write_bytes(file.read_bytes())
    strategy = "parallel_distill_refine(drafts=(2, 1)) | generative_verification(k=1)"
    options = ["--model", f"vllm:{folder}", "--max-tokens", "200", "--show-prompts", "--json"]
    shown = json.loads(evaluated(*options, strategy=strategy).stdout)
    prompts = {prompt["name"]: prompt["example"] for prompt in shown["prompts"]}
    assert list(prompts) == ["solve", "summarise", "refine_summary", "verify"]
    assert prompts["solve"] == f"<user>{FIRST}<assistant>"
    assert "(line 1 of reply 2)" in prompts["summarise"]  # a draft's text, exactly as it would be quoted
    assert prompts["verify"] == f"<user>{FIRST}<draft>{{draft}}<verify><assistant>"


def test_what_is_inserted_into_traces_is_shown_too(here: Path) -> None:
    shown = evaluated("--show-prompts", "--max-tokens", "200", strategy="threads()").stdout
    thread = shown.partition("== inserted for a thread ==")[2]
    assert thread.partition("==")[0].split("-- example --\n")[1].rstrip("\n") == "\n<Thread>\n1:"
    assert "<Conclusion>none</Conclusion>" in thread.partition("== inserted ==")[2]


def test_what_a_reward_model_would_be_shown(here: Path) -> None:
    strategy = "best_of_n(n=2) | best_by(score='reward_model')"
    shown = evaluated("--reward-model", "scorer", "--show-prompts", strategy=strategy).stdout
    assert shown.endswith(
        f"== reward model (scorer) ==\n\n-- example --\n<user>{FIRST}<assistant>(step 1)<step>(step 2)<step>\n\n"
    )


def test_a_recording_takes_its_own_part(here: Path) -> None:
    assert evaluated("--run", "x.db", strategy="single()").exit_code == 0
    replayed = evaluated("--model", "replay:x.db", "--show-prompts", strategy="single()")
    assert "== solve ==" in replayed.stdout
    assert FIRST in replayed.stdout


@pytest.mark.parametrize(
    ("strategy", "question"),
    [("rstar()", "next_step"), ("best_of_n(n=2) | gen_select()", "choose")],
)
def test_a_question_that_the_model_s_format_lacks_names_a_format_that_has_it(
    here: Path, strategy: str, question: str
) -> None:
    refused = evaluated(strategy=strategy)
    assert refused.exit_code == 2
    assert f"'reasoner' has no prompt '{question}'; it has: " in refused.stderr
    assert "The format 'generic' has it: --format generic" in " ".join(refused.stderr.split())
    assert GENERIC.prompt(question)
    if question == "choose":
        assert evaluated("--format", "generic", strategy=strategy).exit_code == 0


def test_a_question_that_no_built_in_format_has_has_no_way_out() -> None:
    with pytest.raises(ww.UsageError, match=r"no prompt 'joke'; it has: none$"):
        ww.PromptFormat("bare").prompt("joke")
