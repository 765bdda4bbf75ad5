"""What tokens cost in FLOPs: the model's shape, what a session charges, and what a limit buys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import widthwise as ww
from tests.core.scripted import PlainGrader, Scripted
from widthwise import BestOfN, Budget, BudgetReached, MajorityVote, UsageError
from widthwise.core.model_shape import DEFAULTS, MATRICES, ModelShape
from widthwise.core.problem import Problem
from widthwise.core.prompting.prompt import PromptFormat
from widthwise.core.session.scheduler import Scheduler
from widthwise.core.session.session import Session
from widthwise.core.session.setting import Setting
from widthwise.costing import shape_for

PUBLISHED = {
    "model_type": "llama",
    "hidden_size": 512,
    "num_hidden_layers": 8,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "intermediate_size": 1024,
    "vocab_size": 50,
}
"""The 17M model of "To Backtrack or Not to Backtrack", whose keys and values are 128 wide."""
SHAPE = ModelShape(1000, 10, 7)


@pytest.mark.parametrize("length", [1, 212, 4096])
def test_the_published_formula(length: int) -> None:
    """Multiplications and additions as the paper counts them, with both of attention's products and without a head."""
    d, kv, ff, layers = 512, 128, 1024, 8
    published = layers * ((2 * d**2 + 2 * d * kv + 3 * d * ff) * length + d * length * (length + 1) // 2)
    missing = layers * d * length * (length + 1) // 2
    assert ModelShape.of_config(PUBLISHED).read(0, length) == 2 * (published + missing)
    assert ModelShape.of_config(PUBLISHED).head == 2 * 512 * 50


def test_every_matrix_product_of_a_pass_is_counted() -> None:
    """The sizes of the products of one token at position 5, written out."""
    config = {**PUBLISHED, "head_dim": 32, "num_key_value_heads": 2}
    shapes = [(512, 128), (512, 64), (512, 64), (128, 512), (512, 1024), (512, 1024), (1024, 512)]
    attention = 4 * 2 * (32 * 6)  # of each head, the query with six keys, and six weights with as many values
    expected = 8 * (sum(2 * a * b for a, b in shapes) + 2 * attention)
    shape = ModelShape.of_config({"text_config": config})
    assert shape.read(5, 1) == expected
    assert shape.sampled(5, 1) == expected + 2 * 512 * 50
    assert shape.read(3, 4) == sum(shape.read(3 + i, 1) for i in range(4))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_experts": 8}, "num_experts"),
        ({"kv_lora_rank": 64}, "kv_lora_rank"),
        ({"hidden_size": None}, "hidden_size is None"),
        ({"hidden_size": "512"}, "hidden_size"),
        ({"vocab_size": True}, "vocab_size"),
        ({"num_hidden_layers": 10**30}, "num_hidden_layers"),
        ({"head_dim": -1}, "head_dim"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"model_type": "lfm2"}, "model_type is 'lfm2', which is not known to be a dense decoder"),
        ({"model_type": "bert"}, "model_type is 'bert'"),
        ({"model_type": None}, "model_type is None"),
        ({"model_type": ["llama"]}, "model_type is"),
        (
            {"layer_types": ["full_attention", "conv"]},
            "layer_types name 'conv': not all of its layers are plain attention",
        ),
        ({"layer_types": ["linear_attention"]}, "layer_types name 'linear_attention'"),
        ({"layer_types": "conv"}, "layer_types name 'conv'"),
        ({"layer_types": [None]}, "layer_types name None"),
    ],
)
def test_what_is_no_dense_decoder_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ModelShape.of_config({**PUBLISHED, **changes})


@pytest.mark.parametrize("kind", ["gpt_neox", "starcoder2", "phi", "nemotron"])
def test_two_feed_forward_matrices_are_counted_as_two(kind: str) -> None:
    gated, ungated = (ModelShape.of_config({**PUBLISHED, "model_type": name}) for name in ("qwen3", kind))
    assert gated.weights - ungated.weights == 2 * 8 * 512 * 1024  # one matrix in each of eight layers
    assert (gated.attended, gated.head) == (ungated.attended, ungated.head)


def test_the_type_of_the_text_model_decides_and_windows_are_attention() -> None:
    layers = ["full_attention", "sliding_attention"] * 4
    inner = {**PUBLISHED, "model_type": "gemma3_text", "layer_types": layers, "head_dim": 128}
    assert ModelShape.of_config({"model_type": "llava", "text_config": inner}) == ModelShape.of_config(PUBLISHED)


@pytest.mark.parametrize(
    ("kind", "left_out", "size"),
    [
        ("qwen3", "head_dim", 128),
        ("gemma2", "head_dim", 256),
        ("llama", "head_dim", 512 // 4),
        ("mistral", "num_key_value_heads", 8),
        ("llama", "num_key_value_heads", 16),
        ("gemma3_text", "num_attention_heads", 8),
        ("gemma3_text", "vocab_size", 262_208),
    ],
)
def test_a_size_that_is_left_out_is_that_of_its_family_and_is_told(
    kind: str, left_out: str, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    heads = 4 if left_out == "head_dim" else 16
    config = {**PUBLISHED, "model_type": kind, "num_attention_heads": heads, "num_key_value_heads": 4, "head_dim": 16}
    without = {name: value for name, value in config.items() if name != left_out}
    with caplog.at_level("INFO", logger="widthwise"):
        assert ModelShape.of_config(without) == ModelShape.of_config({**config, left_out: size})
    assert f"names no {left_out}: it is taken to be {size}" in caplog.text


def test_no_key_value_heads_are_one_for_each_head() -> None:
    config = {**PUBLISHED, "model_type": "mistral", "num_attention_heads": 16}
    given = [ModelShape.of_config({**config, "num_key_value_heads": number}) for number in (None, 16)]
    assert given[0] == given[1]


TEXT = sorted(kind for kind in MATRICES if "_vl" not in kind and kind != "gemma3")
NEED_THEM = {"helium", "hunyuan_v1_dense", "ministral", "nemotron"}
"""Types of which transformers makes no model of this width without the sizes of heads."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "full"), [*((k, True) for k in TEXT), *((k, False) for k in TEXT if k not in NEED_THEM)]
)
def test_the_known_types_have_these_sizes_in_transformers(kind: str, full: bool) -> None:
    """The weights of a tiny model of each type, counted by their shapes; its file may leave out sizes of heads."""
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    torch = pytest.importorskip("torch", reason="needs torch")
    if kind not in transformers.CONFIG_MAPPING:
        pytest.skip(f"this transformers has no {kind}")
    heads = 2 * DEFAULTS["num_key_value_heads"].get(kind, 2)
    sizes = {**PUBLISHED, "hidden_size": 16 * heads, "intermediate_size": 96, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": heads, "vocab_size": 128, "model_type": kind}
    del sizes["num_key_value_heads"]
    if full:
        sizes |= {"num_key_value_heads": heads, "head_dim": 16}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.CONFIG_MAPPING[kind](**{k: v for k, v in sizes.items() if k != "model_type"}, **tokens)
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(config)
    matrices = [p.numel() for name, p in model.named_parameters() if p.dim() == 2 and ".layers." in name]
    assert ModelShape.of_config(sizes).weights == 2 * sum(matrices)


@given(
    st.builds(ModelShape, st.integers(1, 10**9), st.integers(0, 10**5), st.integers(0, 10**6)),
    st.integers(0, 10**5),
    st.floats(-10, 1e13),
)
def test_what_is_afforded_is_the_most(shape: ModelShape, start: int, flops: float) -> None:
    tokens = shape.afforded(start, flops)
    assert tokens == 0 or shape.sampled(start, tokens) <= flops
    assert shape.sampled(start, tokens + 1) > flops


# -- what a session charges ------------------------------------------------------------------------------------


def costed(texts: list[str], *, most: int | None = None, deterministic: bool = True, **options: Any) -> Session:
    """A session with a model of a known shape, on the prompt ``1+1?`` and a line break: five tokens."""
    backend = Scripted(texts, most=most, deterministic=deterministic)
    setting = Setting(Scheduler(backend), PlainGrader(), PromptFormat("plain"), shape=SHAPE)
    return Session(Problem("p1", "1+1?", "2"), setting, **options)


PROMPT = len("1+1?\n")


async def test_prompts_that_are_computed_and_tokens_that_are_sampled_are_charged() -> None:
    session = costed(["= 2", "= 33"])
    await session.sample(session.root, 2)
    sampled = SHAPE.sampled(PROMPT, 4) + SHAPE.sampled(PROMPT, 5)
    assert session.ledger.flops == sampled + 2 * SHAPE.read(0, PROMPT)  # this backend has no cache


async def test_judging_is_charged_too_and_cached_tokens_are_not() -> None:
    session = costed(["= 2"])
    await session.sample(session.root, judging=True)
    assert session.ledger.flops == SHAPE.read(0, PROMPT) + SHAPE.sampled(PROMPT, 4)
    result = await ww.solve_async("Use the numbers 12, 7, 3, 20 to reach 35.", BestOfN(4))
    shape = ModelShape.of_config(json.loads((Path(ww.__file__).parent / "models/reasoner/config.json").read_text()))
    start = result.ledger.prompt_ideal
    sampled = sum(shape.sampled(start, trace.tokens) for trace in result.traces)
    # The other three find all of the prompt but its last token in the cache.
    assert result.ledger.prompt_computed == start + 3
    assert result.ledger.flops == sampled + shape.read(0, start) + 3 * shape.read(start - 1, 1)


async def test_nothing_is_charged_for_a_model_of_unknown_shape() -> None:
    session = Session(
        Problem("p1", "1+1?", "2"), Setting(Scheduler(Scripted(["= 2"])), PlainGrader(), PromptFormat("p"))
    )
    await session.sample(session.root)
    assert session.ledger.flops == 0


# -- what a limit buys -----------------------------------------------------------------------------------------


def by_hand(lengths: list[int], limit: float) -> tuple[int, int]:
    """How many traces begin, and how many of them finish, computed directly from the rule."""
    costs = [SHAPE.sampled(PROMPT, length) for length in lengths]
    left, begun = limit - SHAPE.read(0, PROMPT), 0
    while begun < len(costs) and left >= (np.median(costs[:begun]) if begun else SHAPE.sampled(PROMPT, 1)):
        left -= costs[begun]
        begun += 1
    return begun, begun - (left < 0)


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=10),
    limit=st.integers(7_000, 300_000),
    most=st.sampled_from([None, 40, 60]),
    width=st.integers(1, 12),
    deterministic=st.booleans(),
)
async def test_a_limit_buys_whole_traces_in_order_of_launch(
    lengths: list[int], limit: int, most: int | None, width: int, deterministic: bool
) -> None:
    s = costed(["x" * (n - 1) for n in lengths], most=most, deterministic=deterministic, budget=Budget(flops=limit))
    await (BestOfN(len(lengths), width=width) | MajorityVote()).run(s)
    begun, whole = by_hand(lengths, limit)
    assert [t.finish for t in s.leaves] == ["stop"] * whole + ["budget"] * (begun - whole)
    if whole < begun:
        spent = sum(SHAPE.sampled(PROMPT, t.tokens) for t in s.leaves) + SHAPE.read(0, PROMPT)
        assert spent <= limit < spent + SHAPE.sampled(PROMPT + s.leaves[-1].tokens, 1)


async def test_both_limits_hold() -> None:
    for budget in (Budget(tokens=10, flops=1e9), Budget(tokens=1000, flops=SHAPE.read(0, 5) + SHAPE.sampled(5, 10))):
        s = costed(["x" * 39], budget=budget)
        await BestOfN(3)(s)
        assert [t.tokens for t in s.leaves] == [10]
        with pytest.raises(BudgetReached):
            await s.sample(s.root)


async def test_pieces_of_traces_are_cut_at_the_limit() -> None:
    s = costed(["ab\ncd\nef\n"], budget=Budget(flops=SHAPE.read(0, 5) + SHAPE.sampled(5, 5)))
    (first,) = await s.sample(s.root, stop=("\n",))
    (second,) = await s.sample(first, stop=("\n",))
    assert (first.finish, second.finish, second.drawn) == ("stop", "budget", 2)


# -- where the shape comes from --------------------------------------------------------------------------------


def test_a_limit_without_a_shape_is_refused_before_the_first_token() -> None:
    with pytest.raises(UsageError, match=r"the limit of 1e\+09 FLOPs needs the shape of .*--model-config.*per-token"):
        ww.solve("1+1?", BestOfN(2) | Budget(flops=1e9), model=ww.FunctionBackend(lambda messages: "\\boxed{2}"))


def test_a_price_per_token_and_a_named_config(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED))
    model = ww.FunctionBackend(lambda messages: "\\boxed{2}")
    found = ww.solve("1+1?", BestOfN(2), model=model, flops_per_token=1e6)
    assert found.ledger.flops == 1e6 * (found.ledger.prompt_computed + found.ledger.sampled)
    for named in (tmp_path, tmp_path / "config.json"):
        assert shape_for(model, model_config=named) == ModelShape.of_config(PUBLISHED)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model_config": "/nowhere"}, "no config.json at /nowhere"),
        ({"model_config": "{here}"}, "vocab_size"),
        ({"model_config": "{here}", "flops_per_token": 5.0}, "give one of them"),
        ({"flops_per_token": 0.5}, "at least 1"),
        ({"flops_per_token": float("inf")}, "at least 1"),
    ],
)
def test_what_cannot_be_counted_says_why(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({**PUBLISHED, "vocab_size": []}))
    given = {k: v.format(here=tmp_path) if isinstance(v, str) else v for k, v in options.items()}
    with pytest.raises(UsageError, match=said):
        ww.solve("1+1?", BestOfN(2), model=ww.FunctionBackend(lambda messages: "2"), **given)
