"""The micro models' architecture: a small Llama in plain torch, its parameters named as in Hugging Face checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SHORT = 384  # tokens of a row


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of the model."""

    vocabulary: int
    layers: int = 6
    width: int = 128
    heads: int = 4
    kv_heads: int = 2
    hidden: int = 352
    context: int = 1024
    theta: float = 10000.0
    epsilon: float = 1e-5

    @property
    def head(self) -> int:
        return self.width // self.heads


class Attention(nn.Module):
    """Causal self-attention with rotary positions; several query heads share a key/value head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head, self.groups = shape.head, shape.heads // shape.kv_heads
        self.q_proj = nn.Linear(shape.width, shape.heads * shape.head, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.kv_heads * shape.head, bias=False)
        self.o_proj = nn.Linear(shape.heads * shape.head, shape.width, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """(batch, length, width) to the same shape."""
        q, k, v = (self.split(project(x)) for project in (self.q_proj, self.k_proj, self.v_proj))
        q, k = rotate(q, turn), rotate(k, turn)
        k, v = (t.repeat_interleave(self.groups, dim=1) for t in (k, v))
        return self.o_proj(attend(q, k, v).transpose(1, 2).flatten(2))

    def split(self, x: Tensor) -> Tensor:
        """(batch, length, heads * head) to (batch, heads, length, head)."""
        return x.unflatten(2, (-1, self.head)).transpose(1, 2)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention over (batch, heads, length, head).

    Short rows are computed with the formula written out: compiled, it is faster on a CPU than the fused kernel's
    backward pass.
    """
    length = q.shape[2]
    if length > SHORT:
        return functional.scaled_dot_product_attention(q, k, v.to(q.dtype), is_causal=True)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
    return scores.masked_fill(future, -torch.inf).softmax(dim=-1).to(v.dtype) @ v


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.width, shape.epsilon)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.width, shape.epsilon)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), turn)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """The decoder; its output layer is the transposed embedding."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, shape.epsilon)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                deep = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.04 / (2 * shape.layers) ** 0.5 if deep else 0.04)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token ids (batch, length) to hidden states (batch, length, width)."""
        x = self.embed_tokens(tokens)
        turn = rotation(self.shape, tokens.shape[1])
        for layer in self.layers:
            x = layer(x, turn)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return functional.linear(hidden, self.embed_tokens.weight)

    def begin(self, weights: dict[str, Tensor]) -> None:
        """Take the weights of a trained model; layers that it lacks, on top, have no effect until they have learned."""
        missing, unexpected = self.load_state_dict(weights, strict=False)
        added = {name for name in missing if name.startswith("layers.")}
        if unexpected or added != set(missing):
            raise ValueError(f"these are not the weights of a model of this shape: {[*missing, *unexpected][:3]}")
        for name, weight in self.named_parameters():
            if name in added and name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(weight)


def rotation(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines (length, head) of the rotary positions."""
    frequency = shape.theta ** (-torch.arange(0, shape.head, 2) / shape.head)
    angle = torch.outer(torch.arange(length), frequency).repeat(1, 2)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn queries or keys by their positions (the halves of a head are the two coordinates)."""
    first, second = x.chunk(2, dim=-1)
    cos, sin = (part.to(x.dtype) for part in turn)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
