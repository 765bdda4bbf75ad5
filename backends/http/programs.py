"""Which program a server is, if it can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from widthwise.backends.http.enquiry import Enquiry
from widthwise.backends.http.profile import Prefix
from widthwise.backends.http.served import Card

_OWNERS = {"vllm": "vLLM", "sglang": "SGLang", "llamacpp": "llama.cpp", "library": "Ollama"}
_HOSTS = {
    "openai.com": "OpenAI",
    "deepseek.com": "DeepSeek",
    "openrouter.ai": "OpenRouter",
    "mistral.ai": "Mistral",
    "googleapis.com": "Gemini",
    "azure.com": "Azure",
    "together.xyz": "Together",
    "together.ai": "Together",
    "groq.com": "Groq",
    "anthropic.com": "Anthropic",
    "aliyuncs.com": "DashScope",
    "fireworks.ai": "Fireworks",
}
_SIGNS = (
    ("../props", "chat_template", "llama.cpp"),
    ("../api/version", "version", "Ollama"),
    ("../get_model_info", "model_path", "SGLang"),
    ("../info", "model_id", "TGI"),
    ("../health/readiness/details", "litellm_version", "LiteLLM"),
)
_PREFIXES: dict[str, Prefix] = {
    "vLLM": "continue_final_message",
    "SGLang": "continue_final_message",
    "llama.cpp": "assistant",
    "Mistral": "prefix",
    "Anthropic": "assistant",
}
CONTINUING = frozenset({"vLLM", "SGLang", "llama.cpp", "TGI"})
"""Programs whose completions continue a text as it is."""


@dataclass(frozen=True, slots=True)
class Program:
    """``kind`` is the program's name, ``hosted`` whether a company runs it; ``said`` is what it told about itself."""

    kind: str | None = None
    version: str | None = None
    hosted: bool = False
    said: dict[str, Any] | None = None


def hosted_at(url: str) -> Program | None:
    """The program at a known host; None for any other."""
    host = urlsplit(url).hostname or ""
    known = [name for domain, name in _HOSTS.items() if host == domain or host.endswith(f".{domain}")]
    return Program(known[0], hosted=True) if known else None


def owner_of(card: Card) -> str | None:
    """The program that names itself as a model's owner in the list of models."""
    return _OWNERS.get(str(card.get("owned_by")))


async def program_of(enquiry: Enquiry, card: Card) -> Program:
    """The program at the address: from its list of models, and from features that only one program has."""
    told = await enquiry.glance("../version")
    version = str(told["version"]) if isinstance(told, dict) and "version" in told else None
    owner = owner_of(card)
    for path, sign, kind in _SIGNS:
        if owner in (None, kind) and not (owner is None and version is not None):
            said = await enquiry.glance(path)
            if isinstance(said, dict) and sign in said:
                return Program(kind, version or _version_in(said), said=said)
    return Program(owner or ("vLLM" if version is not None else None), version)


def prefix_of(program: Program, url: str) -> Prefix | None:
    """How the program's chat is asked to continue an assistant's turn; None if it cannot."""
    if program.kind == "DeepSeek":
        return "prefix" if urlsplit(url).path.rstrip("/").endswith("/beta") else None
    return _PREFIXES.get(program.kind or "")


def _version_in(said: dict[str, Any]) -> str | None:
    found = [str(said[name]) for name in ("version", "build_info", "litellm_version") if said.get(name) is not None]
    return found[0] if found else None
