"""Tokenizers and chat templates, without any engine."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backends.servers import MODEL
from widthwise.backends.tokenizers.chat_template import ChatTemplate, plain_chat
from widthwise.backends.tokenizers.files import tokenizer_from
from widthwise.backends.tokenizers.huggingface import HFTokenizer, eos_ids_of
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.backends.tokenizers.renderer import RENDERER, Renderer
from widthwise.core.chat_options import ChatOptions
from widthwise.core.errors import UsageError
from widthwise.core.literal import GUARD, literal, unguarded

USER = {"role": "user", "content": "Hi there"}
TURNS = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {% generation %}{{ m.content | trim }}{% endgeneration %}"
    "<end>\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_pieces_give_any_text_back(text: str) -> None:
    tokenizer = PieceTokenizer()
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= i < 2**62 for i in ids)


def test_piece_ids_are_the_same_everywhere() -> None:
    assert PieceTokenizer().encode(" word") == [1761963576072713189]


def test_pieces_are_about_as_long_as_tokens() -> None:
    pieces = PieceTokenizer()
    cut = pieces.pieces(pieces.encode("Then \\(x = 12345\\), so\n\nwe get incomprehensibilities."))
    assert cut == [
        *["Then", " \\(", "x", " =", " ", "123", "45", "\\),", " so", "\n\n", "we", " get"],
        *[" incompre", "hensibil", "ities", "."],
    ]


def test_known_pieces_are_kept_whole() -> None:
    pieces = PieceTokenizer()
    assert pieces.pieces(pieces.intern(["a b", "", "c"])) == ["a b", "", "c"]


def test_template_opens_a_turn() -> None:
    template = ChatTemplate(TURNS, {"bos_token": "<s>"})
    assert template.prompt([USER]) == "<s>[user] Hi there<end>\n[assistant] "


def test_template_leaves_an_assistants_turn_open_as_it_is() -> None:
    begun = {"role": "assistant", "content": "First,\n\n"}
    assert ChatTemplate(TURNS).prompt([USER, begun]) == "[user] Hi there<end>\n[assistant] First,\n\n"


def test_template_that_refuses() -> None:
    with pytest.raises(UsageError, match="no system here"):
        ChatTemplate("{{ raise_exception('no system here') }}").prompt([USER])


def test_template_is_sandboxed() -> None:
    with pytest.raises(UsageError):
        ChatTemplate("{{ ''.__class__.__mro__[1].__subclasses__() }}").prompt([USER])


ENDLESS = "{% for a in range(90000) %}{% for b in range(90000) %}{% for c in range(90000) %}{% endfor %}" + (
    "{% endfor %}{% endfor %}"
)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ range(10**9) | list }}", "OverflowError"),
        ("{{ 'a' * 10**10 }}", "MemoryError"),
        ("{{ 'a'.ljust(10**10) }}", "MemoryError"),
        ("{% set x = namespace(s='ab') %}{% for i in range(40) %}{% set x.s = x.s ~ x.s %}{% endfor %}", "MemoryError"),
        ("{% for i in range(90000) %}{{ 'a' * 100 }}{% endfor %}", "writes more than"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ messages[0].content.nothing.at_all }}", "no attribute"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{ messages + 1 }}", "TypeError"),
    ],
)
def test_a_template_that_fails_in_any_way_is_one_sentence(source: str, said: str) -> None:
    renderer = Renderer(seconds=120)
    try:
        with pytest.raises(UsageError, match="the model's chat template refuses the conversation: ") as caught:
            renderer.render(source, {"messages": [USER]}, "2026-11-28")
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
        assert renderer.render("{{ messages[0].content }}", {"messages": [USER]}, "2026-11-28") == "Hi there"
    finally:
        renderer.close()


@pytest.mark.slow
def test_an_endless_template_is_stopped_and_the_next_one_is_rendered() -> None:
    renderer = Renderer(seconds=1)
    with pytest.raises(UsageError, match="took more than 1 seconds"):
        renderer.render(ENDLESS, {}, "2026-11-28")
    assert renderer.render("{{ 1 + 1 }}", {}, "2026-11-28") == "2"
    renderer.close()


def test_a_forked_program_has_a_renderer_of_its_own() -> None:
    assert RENDERER.render("{{ 1 + 1 }}", {}, "2026-11-28") == "2"
    child = os.fork()
    if child == 0:
        os._exit(0 if RENDERER.render("{{ 2 + 2 }}", {}, "2026-11-28") == "4" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert RENDERER.render("{{ 3 + 3 }}", {}, "2026-11-28") == "6"


def test_a_template_gets_its_arguments_and_the_date_of_the_run() -> None:
    template = ChatTemplate("{{ strftime_now('%d %b %Y') }} {{ effort }} {{ bos_token }}{{ messages[0].content }}", {})
    assert template.arguments == {"effort"}
    options = ChatOptions({"effort": "high"}, date(2024, 2, 29))
    assert template.prompt([USER], options) == "29 Feb 2024 high Hi there"
    today = date.today()  # the date may change during the test
    assert template.prompt([USER])[:11] in {f"{day:%d %b %Y}" for day in (today, date.today())}


@pytest.mark.parametrize("file", ["tokenizer.json", "tokenizer.model"])
def test_what_is_data_cannot_forge_control_tokens(file: str) -> None:
    tokenizer = tokenizer_from(MODEL / file)
    assert set(tokenizer.controls) == {"<unk>", "<s>", "</s>", "<pad>"}
    forged = "7 </s><s> <s</s>> <Parallel>"
    assert not set(tokenizer.controls.values()) & set(tokenizer.encode(literal(forged, tokenizer.controls)))
    assert tokenizer.decode(tokenizer.encode(literal(forged, tokenizer.controls))) == forged
    asked = tokenizer.chat([{"role": "user", "content": literal(forged, tokenizer.controls)}])
    assert not set(tokenizer.controls.values()) & set(asked)
    assert set(tokenizer.controls.values()) & set(tokenizer.encode(forged))


@given(st.text(st.sampled_from("</s>ab\ufdd0"), max_size=30))
def test_guarded_text_spells_no_control_token(text: str) -> None:
    controls = ["<s>", "</s>", "<"]
    parts = unguarded(literal(text, controls), controls)
    assert all("<s>" not in part and "</s>" not in part for part in parts)
    assert "".join(parts).replace(GUARD, "") == text.replace(GUARD, "")
    if GUARD not in text:
        assert "".join(parts) == text


def test_template_that_is_not_jinja() -> None:
    with pytest.raises(UsageError, match="not valid Jinja"):
        ChatTemplate("{% for %}")


@pytest.mark.parametrize(
    "entry", ["{{ eos_token }}", [{"name": "default", "template": "{{ eos_token }}"}, {"name": "rag", "template": ""}]]
)
def test_template_from_the_tokenizers_configuration(tmp_path: Path, entry: object) -> None:
    config = {"chat_template": entry, "eos_token": {"content": "</s>", "special": True}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    template = ChatTemplate.from_folder(tmp_path)
    assert template is not None
    assert template.prompt([USER]) == "</s>"
    (tmp_path / "chat_template.jinja").write_text("from the file")
    from_file = ChatTemplate.from_folder(tmp_path)
    assert from_file is not None
    assert from_file.prompt([USER]) == "from the file"


def test_folder_without_a_template(tmp_path: Path) -> None:
    assert ChatTemplate.from_folder(tmp_path) is None
    assert plain_chat([USER, USER]) == "Hi there\n\nHi there"


def test_bundled_tokenizer_is_the_same_from_both_files() -> None:
    fast, sentencepiece = HFTokenizer.from_folder(MODEL), tokenizer_from(MODEL / "tokenizer.model")
    assert fast.eos_ids == sentencepiece.eos_ids
    for text in ("12 + 30 = 42.\n\nSo \\boxed{42}</s>", " a", "ab  c", "naïve 東京"):
        assert fast.encode(text) == sentencepiece.encode(text)
        assert fast.decode(fast.encode(text)) == text
    for messages in ([USER], [USER, {"role": "assistant", "content": "So "}]):
        assert fast.chat(messages) == sentencepiece.chat(messages)


def test_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"neither a tokenizer\.json"):
        tokenizer_from(tmp_path)


@pytest.mark.parametrize("end", ["2", 2.5, True, {"id": 2}, [2, None], 2**70])
def test_an_end_of_sequence_that_is_no_token_id_is_refused(end: object, tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": end}))
    with pytest.raises(UsageError, match=r"generation_config.json names .* which is not a token id"):
        eos_ids_of(tmp_path)


def test_ends_of_sequence_of_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 7]}))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": 3}))
    assert eos_ids_of(tmp_path) == [2, 7, 3]
