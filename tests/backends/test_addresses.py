"""Where requests go, and what goes with them: any address that users write, and keys only to their own origin."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.backends.scripted_server import MODELS, Asked, Reply, by_path, refusal, served, text, text_only
from tests.backends.test_streams import WHOLE, WORDS, Sampled, on_the_clock, sample
from widthwise.backends.http.address import base_of, bases, beside, endpoint, named, shown
from widthwise.backends.http.backend import HTTPBackend
from widthwise.cli.app import app
from widthwise.core.errors import AccessRefused, UsageError
from widthwise.core.secrets import keep_secret, masked, names_secret, without_secrets

KEY = "sk-test-0123456789abcdefghijklmnop"
ANSWER = Reply(text(*WORDS))


def sampled_at(url: Any, **options: Any) -> Sampled:
    """The outcome of one request to this address."""

    async def work() -> Sampled:
        try:
            return await sample(backend)
        finally:
            await backend.close()

    backend = HTTPBackend(url, **options)
    return on_the_clock(work())


# -- addresses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "base"),
    [
        ("http://h", "http://h/v1"),
        ("http://h/", "http://h/v1"),
        ("h:8000", "http://h:8000/v1"),
        ("http://h:8000/v1/", "http://h:8000/v1"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai"),
        ("http://h/v1/completions", "http://h/v1"),
        ("http://h/v1/chat/completions/", "http://h/v1"),
        ("http://h/v1/models", "http://h/v1"),
        (
            "https://h/openai/deployments/m/chat/completions?api-version=1",
            "https://h/openai/deployments/m?api-version=1",
        ),
        ("http://[::1]:80", "http://[::1]:80/v1"),
    ],
)
def test_bases(written: str, base: str) -> None:
    assert base_of(written) == base
    assert base_of(base) == base


@pytest.mark.parametrize("written", ["http://", "ftp://h", "http://h:port", "http://[::1", "http:// h", "https://u:p@"])
def test_what_is_no_address(written: str) -> None:
    with pytest.raises(UsageError, match="is not a server address"):
        base_of(written)


def test_paths_stand_before_the_query() -> None:
    assert endpoint("http://h/v1?api-version=2", "/models") == "http://h/v1/models?api-version=2"
    assert beside("http://h/a/v1?x=2", "/props") == "http://h/a/props?x=2"
    assert bases("http://h/v1") == ["http://h/v1", "http://h"]
    assert bases("http://h/v1beta/openai") == ["http://h/v1beta/openai"]


def test_the_model_after_the_address() -> None:
    assert named("http://a#org/m,http://b/v1#org/m") == (["http://a/v1", "http://b/v1"], "org/m")
    assert named("http://a", "m") == (["http://a/v1"], "m")
    with pytest.raises(UsageError, match="one model"):
        named("http://a#m,http://b#n")


@pytest.mark.parametrize(
    "written",
    ["{}", "{}/", "{}/v1", "{}/v1/completions", "{}/v1?api-version=7", "{}#words", "{}/v1/chat/completions#words"],
)
def test_any_address_of_a_server_works(written: str) -> None:
    with served(text_only(ANSWER)) as server:
        assert sampled_at(written.format(server.url)).text == WHOLE
    assert {asked.query for asked in server.attempts} == {"api-version=7" if "?" in written else ""}


@pytest.mark.parametrize("home", ["", "/llm", "/llm/v1", "/v1beta/openai"])
def test_a_server_whose_paths_are_elsewhere(home: str) -> None:
    def script(asked: Asked) -> Reply:
        path, _, name = asked.path.rpartition("/")
        if path != home or (name == "models" and asked.method != "GET"):
            return refusal(404, "Not Found")
        return Reply({"data": MODELS}) if name == "models" else text_only(ANSWER)(asked)

    with served(script, None) as server:
        assert (
            sampled_at(server.url + home.removesuffix("/v1") if home == "/llm/v1" else server.url + home).text == WHOLE
        )
    assert {asked.path for asked in server.attempts} == {f"{home}/completions"}


def test_ipv6() -> None:
    try:
        with served(text_only(ANSWER), host="::1") as server:
            assert sampled_at(server.url).text == WHOLE
    except OSError:
        pytest.skip("this machine has no IPv6")


def test_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trustme = pytest.importorskip("trustme", reason="certificates are made with trustme: pip install trustme")
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with served(text_only(ANSWER), tls=context) as server:
        with pytest.raises(Exception, match=r"certificate of .* is not trusted .*SSL_CERT_FILE"):
            HTTPBackend(server.url)
        authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        assert sampled_at(server.url).text == WHOLE


def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(text_only(ANSWER)) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert sampled_at("http://far.invalid/v1").text == WHOLE
        seen = len(proxy.asked)
        with served(text_only(ANSWER)) as direct:
            assert sampled_at(direct.url).text == WHOLE
        assert len(proxy.asked) == seen


# -- keys ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "hf_token",
        "api_key",
        "apiKey",
        "header.Authorization",
        "header.X-Auth-Token",
        "header.x-goog-api-key",
        "Cookie",
        "password",
        "OPENAI_API_KEY",
        "X-Token",
        "client_secret",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "max_tokens",
        "tokenizer",
        "eos_token",
        "return_token_ids",
        "header.X-Title",
        "monkey",
        "seed",
        "pad_token_id",
        "author",
        "",
    ],
)
def test_names_of_others(name: str) -> None:
    assert not names_secret(name)


def test_secrets_are_masked_whole_and_in_parts() -> None:
    keep_secret(f"Bearer {KEY}")
    said = masked(f"{KEY}, {KEY[:12]}***{KEY[-9:]}, Bearer {KEY}.")
    assert not any(KEY[i : i + 8] in said for i in range(len(KEY) - 8))
    assert without_secrets({"a": {"api_key": KEY, "b": [KEY]}, "hf_token": "x"}) == {"a": {"b": ["***"]}}
    assert shown("http://user:pass-word@h/v1?key=abcd&api-version=1") == "http://h/v1?key=***&api-version=1"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_elsewhere_is_followed_without_the_key(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_API_KEY", KEY)
    with served(text_only(ANSWER)) as there:

        def away(asked: Asked) -> Reply:
            return Reply(b"", status, {"Location": there.url + asked.path})

        with served(away, None) as here:
            assert sampled_at(here.url, headers={"X-Api-Key": KEY, "X-Title": "t"}).text == WHOLE
    assert all(asked.headers["x-api-key"] == KEY for asked in here.asked)
    assert there.attempts
    assert all("authorization" not in asked.headers and "x-api-key" not in asked.headers for asked in there.asked)
    assert all(asked.headers["x-title"] == "t" for asked in there.asked)
    assert all(asked.method == "POST" and asked.body["prompt"] for asked in there.attempts)


def test_a_redirect_at_home_keeps_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    def script(asked: Asked) -> Reply:
        if asked.path.startswith("/v1"):
            return Reply(b"", 307, {"Location": "/other" + asked.path})
        return Reply({"data": MODELS}) if asked.path.endswith("/models") else text_only(ANSWER)(asked)

    with served(script, None) as server:
        assert sampled_at(server.url).text == WHOLE
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {KEY}"}


@pytest.mark.parametrize("options", [{"api_key": KEY}, {"headers": {"Authorization": f"Bearer {KEY}"}}])
def test_a_key_that_a_server_echoes_is_not_shown(options: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="widthwise")
    script = text_only(lambda asked: refusal(500, f"who is {asked.headers['authorization']}, {KEY[:14]}...?"))
    with served(script) as server:
        sampled = sampled_at(server.url, **options)
    assert "who is" in str(sampled.error)
    for said in (str(sampled.error), caplog.text):
        assert KEY[:10] not in said


def test_a_key_in_an_answer_is_no_part_of_it() -> None:
    with served(text_only(lambda asked: Reply(text(" say ", asked.headers["authorization"], "!")))) as server:
        assert KEY not in sampled_at(server.url, api_key=KEY).text


def test_a_key_that_is_refused_ends_the_opening() -> None:
    with served(by_path(completions=refusal(401)), refusal(401, f"Incorrect API key provided: {KEY}")) as server:
        with pytest.raises(AccessRefused, match="WIDTHWISE_API_KEY") as raised:
            HTTPBackend(server.url, api_key=KEY)
        assert KEY not in str(raised.value)


# -- on the command line ---------------------------------------------------------------------------------------


def evaluate(url: str, folder: Path, *more: str) -> Any:
    """``widthwise eval`` with four problems and two samples each, stored in ``run.db``."""
    call = ["eval", "arithmetic", "--limit", "4", "--model", url, "--run", str(folder / "run.db"), *more]
    return CliRunner().invoke(app, [*call, "--strategy", "best_of_n(n=2) | majority_vote()", "--seed", "1"])


def test_no_file_and_no_line_holds_a_key(tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply:
        assert asked.headers["authorization"] == f"Bearer {KEY}"
        assert asked.headers["x-auth-token"] == KEY[::-1]
        if not isinstance(asked.body.get("prompt"), str):
            return refusal(400, f"{asked.headers} are wrong")
        return Reply(text(f" {KEY} \\boxed{{7}}"))

    keys = ["--backend-arg", f"api_key={KEY}", "--backend-arg", f"header.X-Auth-Token={KEY[::-1]}"]
    with served(by_path(completions=script)) as server:
        result = evaluate(server.url, tmp_path, *keys)
    assert result.exit_code == 0, result.output
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir()) + result.output.encode()
    for key in (KEY, KEY[::-1]):
        assert key.encode() not in written
    again = CliRunner().invoke(app, ["traces", str(tmp_path / "run.db")])
    assert again.exit_code == 0
    assert KEY not in again.output


def test_a_quota_that_is_used_up_ends_the_run_and_keeps_what_is_finished(tmp_path: Path) -> None:
    sampled, quota = 0, 4

    def script(asked: Asked) -> Reply:
        nonlocal sampled
        if not isinstance(asked.body.get("prompt"), str):
            return refusal(400, "prompt must be a text")
        sampled += "max_tokens" not in asked.body  # the client's probes are short
        if sampled > quota:
            return refusal(429, "You exceeded your current quota", code="insufficient_quota")
        return Reply(text(" \\boxed{7}"))

    with served(by_path(completions=script)) as server:
        ended = evaluate(server.url, tmp_path, "--concurrency", "1")
        refused, sampled, quota = sampled - quota, 0, 100
        finished = evaluate(server.url, tmp_path, "--concurrency", "1")
    assert ended.exit_code == 1, ended.output
    assert "You exceeded your current quota" in ended.output
    assert "the same command continues with what is left" in ended.output
    assert 1 <= refused <= 3
    assert finished.exit_code == 0, finished.output
    assert sampled == 4  # of eight samples, four were kept


def test_log_probabilities_are_asked_for_unless_told_otherwise(tmp_path: Path) -> None:
    words = {"tokens": [" \\boxed{7}"], "token_logprobs": [-0.1], "top_logprobs": [{}]}

    def script(asked: Asked) -> Reply:
        ids = not isinstance(asked.body.get("prompt"), str)
        said = Reply(text(" \\boxed{7}", logprobs=words if "logprobs" in asked.body else None))
        return refusal(400, "prompt must be a text") if ids else said

    def asked_for() -> set[bool]:
        return {
            "logprobs" in asked.body for asked in server.asked if "max_tokens" not in (asked.body or {"max_tokens": 1})
        }

    with served(by_path(completions=script)) as server:
        assert evaluate(server.url, tmp_path / "with").exit_code == 0
        assert asked_for() == {True}
        server.asked.clear()
        assert evaluate(server.url, tmp_path / "without", "--no-logprobs").exit_code == 0
        assert asked_for() == {False}
        confident = ["--no-logprobs", "--run", str(tmp_path / "c.db"), "--limit", "2", "--model", server.url]
        confident += ["--strategy", "best_of_n(n=2) | weighted_vote(by='mean_logprob')"]
        refused = CliRunner().invoke(app, ["eval", "arithmetic", *confident])
        assert refused.exit_code == 2
        assert "needs log-probabilities" in refused.output
