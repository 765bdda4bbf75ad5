"""Build the micro reasoner's tokenizer: `python scripts/train_tokenizer.py models/reasoner`.

Nothing is learned from data: the vocabulary is the tables below, and the longest piece wins at every position. So the
tokenizer has the same bytes each time, every digit is one token, any text can be encoded (bytes stand in for unknown
characters), and `decode(encode(text)) == text`, including blank lines and leading spaces.

Two files describe the same tokenizer: `tokenizer.model` (SentencePiece) and `tokenizer.json` (Hugging Face).
"""

import argparse
import json
import re
import string
from pathlib import Path
from typing import Any

import sentencepiece

TURNS = ("<system>", "<user>", "<assistant>")
# Markers for skills that a later model learns; included so that it can be trained without a new vocabulary.
THREAD_TAGS = ("Parallel", "Outlines", "Outline", "Thread", "Goal", "Path", "Conclusion", "Summary", "think")
SKILL_TAGS = ("<step>", "<spawn>", "<join>", "<search>", "<refine>", "<draft>", "<judge>", "<verify>")
RESERVED = tuple(f"<reserved_{i}>" for i in range(47))  # the vocabulary is 448 = 7 * 64 pieces
WORDS = ("Compute ", "Use the numbers ", " to reach ", ", left ", "\\boxed{")
SIGNS = (" + ", " - ", " * ", " / ", " = ", ", ", "\n\n", "\n")
CHARACTERS = " " + "".join(sorted(set(string.printable) - set(string.whitespace))) + "×÷−·"

UNKNOWN, BEGIN, END, PAD = "<unk>", "<s>", "</s>", "<pad>"
SPACE = "\u2581"  # SentencePiece writes a space as this visible character

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<' + message['role'] + '>' + message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ '</s>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}"
)


def markers() -> list[str]:
    """The control words, each one token."""
    threads = [tag for name in THREAD_TAGS for tag in (f"<{name}>", f"</{name}>")]
    return [*TURNS, *threads, *SKILL_TAGS, *RESERVED]


def train_sentencepiece(folder: Path) -> None:
    """Write `tokenizer.model`."""
    words = [piece.replace(" ", SPACE) for piece in (*WORDS, *SIGNS)]
    size = 4 + len(markers()) + len(words) + 256 + len(CHARACTERS)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CHARACTERS),
        model_prefix=str(folder / "tokenizer"),
        model_type="char",
        vocab_size=size,
        character_coverage=1.0,
        user_defined_symbols=[*markers(), *words],
        byte_fallback=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        unk_id=0, bos_id=1, eos_id=2, pad_id=3,
        unk_piece=UNKNOWN, bos_piece=BEGIN, eos_piece=END, pad_piece=PAD,
        num_threads=1,
        minloglevel=1,
    )  # fmt: skip
    (folder / "tokenizer.vocab").unlink()


def export_hugging_face(folder: Path) -> None:
    """Write `tokenizer.json` and its companions from `tokenizer.model`."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    pieces = [model.id_to_piece(i) for i in range(model.vocab_size())]
    specials = {UNKNOWN: "unk_token", BEGIN: "bos_token", END: "eos_token", PAD: "pad_token"}
    config = {name: piece for piece, name in specials.items()} | {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "spaces_between_special_tokens": False,
        "model_max_length": 1024,
        "chat_template": CHAT_TEMPLATE,
    }
    write_json(folder / "tokenizer.json", fast_tokenizer(pieces, list(specials)))
    write_json(folder / "tokenizer_config.json", config)
    write_json(folder / "special_tokens_map.json", {name: piece for piece, name in specials.items()})


def fast_tokenizer(pieces: list[str], specials: list[str]) -> dict[str, Any]:
    """The `tokenizer.json` that encodes as SentencePiece does.

    One regular expression cuts the text into the longest pieces, and `ignore_merges` takes each piece as a token;
    characters outside the vocabulary fall back to bytes.
    """
    long = sorted((piece for piece in pieces[4:] if len(piece) > 1 and not is_byte(piece)), key=len, reverse=True)
    cuts = "|".join(re.escape(piece).replace("\\\n", "\\n") for piece in long) + "|[\\s\\S]"
    space = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    back = {"type": "Replace", "pattern": {"String": SPACE}, "content": " "}
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": pieces.index(piece), "content": piece} | special for piece in specials],
        "normalizer": space,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": cuts}, "behavior": "Isolated", "invert": False},
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {
            "type": "BPE", "dropout": None, "unk_token": UNKNOWN, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": True, "ignore_merges": True,
            "vocab": {piece: i for i, piece in enumerate(pieces)}, "merges": [],
        },
    }  # fmt: skip


def is_byte(piece: str) -> bool:
    """Whether a piece stands for one byte of an unknown character."""
    return re.fullmatch(r"<0x[0-9A-F]{2}>", piece) is not None


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    train_sentencepiece(folder)
    export_hugging_face(folder)


if __name__ == "__main__":
    main()
