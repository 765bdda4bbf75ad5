"""The SentencePiece tokenizer: exact both ways, wherever a text occurs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.backends.llama_checkpoint import write_tokenizer
from widthwise.backends.tokenizers.sentencepiece import SentencePieceTokenizer
from widthwise.core.errors import BackendError

TEXTS = ["2 + 3 = 5", " lead", "trail ", "a  b", "\n\n", "é, 漢字 and 🙂", "\u2581", "<user>hi</s><s>", "\\boxed{"]


@pytest.fixture(scope="module", params=["plain", "dummy-prefix"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> SentencePieceTokenizer:
    folder = tmp_path_factory.mktemp(request.param)
    write_tokenizer(folder, add_dummy_prefix=request.param == "dummy-prefix")
    return SentencePieceTokenizer.from_folder(folder)


@pytest.mark.parametrize("text", TEXTS)
def test_round_trip(tokenizer: SentencePieceTokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert b"".join(tokenizer.bytes_of[i] for i in ids).decode() == text


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_round_trip_of_anything(tokenizer: SentencePieceTokenizer, text: str) -> None:
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_control_tokens_are_ids(tokenizer: SentencePieceTokenizer) -> None:
    assert tokenizer.encode("<s></s>") == [1, 2]
    assert tokenizer.eos_ids == {2}
    assert tokenizer.encode("<user>2")[0] == tokenizer.encode("<user>")[0]
    assert tokenizer.decode([1, 2]) == "<s></s>"


def test_chat(tokenizer: SentencePieceTokenizer) -> None:
    asked = [{"role": "user", "content": "2 + 3"}]
    assert tokenizer.decode(tokenizer.chat(asked)).strip() == "<user>2 + 3<assistant>"
    begun = [*asked, {"role": "assistant", "content": "so "}]
    assert tokenizer.decode(tokenizer.chat(begun)).lstrip() == "<user>2 + 3<assistant>so "


def test_a_conversation_has_the_dummy_prefix_where_transformers_has_it(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, add_dummy_prefix=True)
    file = tmp_path / "tokenizer_config.json"
    config = json.loads(file.read_text()) | {"chat_template": "<s>[{{ messages[0].content }}]</s>so"}
    for legacy, ids_after in ((True, "<s> [5 ]</s> so"), (False, "<s>[5 ]</s>so")):
        file.write_text(json.dumps(config | {"legacy": legacy}))
        tokenizer = SentencePieceTokenizer.from_folder(tmp_path)
        assert tokenizer.decode(tokenizer.chat([{"role": "user", "content": "5 "}])) == ids_after
        assert tokenizer.decode(tokenizer.encode("<s>[")) == "<s>["  # inside a trace, nothing is added


def test_without_a_chat_template(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").unlink()
    tokenizer = SentencePieceTokenizer.from_folder(tmp_path)
    assert tokenizer.decode(tokenizer.chat([{"role": "user", "content": "2 + 3"}])) == "<s>2 + 3"


def test_added_tokens_and_ids_that_spell_nothing(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    added = {"900": {"content": "<think>"}, "901": {"content": "<end>"}}
    config = {"added_tokens_decoder": added, "eos_token": "<end>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "config.json").write_text(json.dumps({"eos_token_id": [2, 7]}))
    tokenizer = SentencePieceTokenizer.from_folder(tmp_path)
    assert tokenizer.encode("<think>")[-1] == 900
    assert tokenizer.decode([900, 899, 5000]) == "<think>"
    assert tokenizer.eos_ids == {2, 7, 901}


def test_missing_and_damaged_models(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"tokenizer\.model is missing"):
        SentencePieceTokenizer.from_folder(tmp_path)
    (tmp_path / "tokenizer.model").write_bytes(b"not a model")
    with pytest.raises(BackendError, match="is not a SentencePiece model"):
        SentencePieceTokenizer.from_folder(tmp_path)
