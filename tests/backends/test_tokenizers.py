"""Tokenizers and chat templates, apart from any engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backends.servers import MODEL
from widthwise.backends.tokenizers.chat_template import ChatTemplate, plain_chat
from widthwise.backends.tokenizers.files import tokenizer_from
from widthwise.backends.tokenizers.huggingface import HFTokenizer
from widthwise.backends.tokenizers.pieces import PieceTokenizer
from widthwise.core.errors import UsageError

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
    with pytest.raises(UsageError, match=r"no tokenizer\.json"):
        tokenizer_from(tmp_path)
