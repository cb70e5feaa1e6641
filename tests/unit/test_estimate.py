"""A dry run says what would be done and about what it costs, and needs neither data nor a network."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from click.testing import CliRunner

from bench.cli import main
from bench.data import catalogue
from bench.data.counts import Counts
from bench.run.estimate import COSTS, Estimate, total


def dry_run(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["run", *arguments, "--dry-run", "--json"])
    assert result.exit_code == 0, (result.exception, result.stderr)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@pytest.fixture(autouse=True)
def nothing_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, no network, and two data sets of known size that were never opened, and one of unknown size."""

    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a dry run opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))
    sizes = {"beir/scifact": Counts(1000, 100), "beir/arguana": Counts(2000, 50), "beir/quora": Counts(500)}
    changed = {
        name: replace(catalogue.CATALOGUE[name], counts=counts, megabytes=None) for name, counts in sizes.items()
    }
    monkeypatch.setattr(catalogue, "CATALOGUE", {**catalogue.CATALOGUE, **changed})


def test_data_that_was_never_opened_is_estimated(tmp_path: Path) -> None:
    found = dry_run("--datasets", "beir/scifact,beir/arguana", "--methods", "none,nudge-n", "--seeds", "0")
    assert {cell["state"] for cell in found["cells"]} == {"would fetch"}
    scifact, arguana = found["estimate"]
    assert (scifact["dataset"], scifact["encoder"], scifact["cells"]) == ("beir/scifact", "minilm", 2)
    assert (scifact["documents"], scifact["queries"]) == (1000, 100)
    assert scifact["tokens"] == 128_000 + 1_600
    assert scifact["gpu_hours"] == pytest.approx(2 * 10.6e6 * 129_600 / 20e12 / 3600)
    assert scifact["vectors"] == 1100 * 384 * 4
    assert scifact["data"] == 640_000 + 8_000
    for column in ("cells", "documents", "queries", "tokens", "gpu_hours", "vectors", "data"):
        assert found["total"][column] == pytest.approx(scifact[column] + arguana[column])
    assert "20 TFLOP/s" in found["assumptions"]
    assert list(tmp_path.iterdir()) == []


def test_documents_are_encoded_again_for_each_cell_that_trains_the_encoder() -> None:
    methods = "none,full-finetune,nudge-n,full-finetune+nudge-n"
    (found,) = dry_run("--datasets", "beir/scifact", "--methods", methods, "--seeds", "0")["estimate"]
    assert found["tokens"] == 3 * 129_600
    assert found["gpu_hours"] == pytest.approx(3 * 2 * 10.6e6 * 129_600 / 20e12 / 3600)
    assert found["vectors"] == 1100 * 384 * 4
    (asked,) = dry_run("--datasets", "beir/scifact", "--encoder", "te3-large", "--methods", methods, "--seeds", "0")[
        "estimate"
    ]
    assert asked["tokens"] == 129_600


def test_what_is_fetched_counts_once_for_all_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.embed import encoders

    monkeypatch.setattr(encoders, "CATALOGUE", dict.fromkeys(("bge-small", "gte-large"), encoders.CATALOGUE["minilm"]))
    found = dry_run("--datasets", "beir/scifact", "--encoder", "bge-small,gte-large")["estimate"]
    assert [row["data"] for row in found] == [648_000, 0]
    assert [row["vectors"] for row in found] == [1100 * 384 * 4, 1100 * 1024 * 4]


def test_an_archive_of_known_size_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    known = replace(catalogue.CATALOGUE["beir/scifact"], megabytes=2.5)
    monkeypatch.setattr(catalogue, "CATALOGUE", {**catalogue.CATALOGUE, "beir/scifact": known})
    assert dry_run("--datasets", "beir/scifact")["estimate"][0]["data"] == 2_500_000


def test_what_is_not_known_is_not_guessed() -> None:
    found = dry_run("--datasets", "beir/quora,beir/scifact")
    quora, scifact = found["estimate"]
    assert {quora[name] for name in ("queries", "tokens", "gpu_hours", "vectors", "data")} == {None}
    assert found["total"]["dataset"] == "total of what is known"
    assert found["total"]["tokens"] == scifact["tokens"]
    (unknown,) = dry_run("--datasets", "beir/scifact", "--encoder", "st:some/model")["estimate"]
    assert (unknown["documents"], unknown["gpu_hours"]) == (1000, None)


def test_a_limit_keeps_fewer_queries_and_all_documents() -> None:
    (found,) = dry_run("--datasets", "beir/scifact", "--limit", "20")["estimate"]
    assert (found["documents"], found["queries"]) == (1000, 20)


def test_data_at_hand_is_counted_and_what_has_a_record_costs_nothing(
    toy_folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    asked = ["--datasets", f"folder:{toy_folder},beir/scifact", "--encoder", f"st:{tiny_model}", "--seeds", "0"]
    out = ["--out", str(tmp_path / "out")]
    data = ["--data", str(toy_folder), "--encoder", f"st:{tiny_model}", "--seeds", "0"]
    assert CliRunner().invoke(main, ["run", *data, "--methods", "none", *out]).exit_code == 0
    found = dry_run(*asked, "--methods", "none,nudge-n", *out)
    assert [cell["state"] for cell in found["cells"]] == ["ok", "would run", "would fetch", "would fetch"]
    assert [row["cells"] for row in found["estimate"]] == [1, 2]
    assert (found["estimate"][0]["documents"], found["estimate"][0]["queries"]) == (60, 60)
    done = dry_run(*data, "--methods", "none", *out)
    assert (done["estimate"], done["total"]["cells"]) == ([], 0)


def test_the_plain_estimate_is_a_table_with_its_assumptions() -> None:
    result = CliRunner().invoke(main, ["run", "--datasets", "beir/scifact,beir/quora", "--dry-run"])
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["beir/scifact", "minilm", "12", "1,000", "100", "0.1", "0.00", "?", "0.00", "0.00"] in lines
    assert ["beir/quora", "minilm", "12", "500", *["?"] * 6] in lines
    assert ["total", "of", "what", "is", "known", "24", "1,500", "100", "0.1", "0.00", "?", "0.00", "0.00"] in lines
    assert "20 TFLOP/s" in result.stdout.splitlines()[-1]


def test_a_total_of_nothing_is_zero() -> None:
    assert total([]) == Estimate("total", "", *[0] * 8)


def weights(part: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def test_weights_are_those_of_the_architectures() -> None:
    from transformers import BertConfig, BertModel, CLIPConfig, CLIPModel

    with torch.device("meta"):
        for name, layers in (("minilm", 6), ("bge-small", 12)):
            bert = BertModel(
                BertConfig(hidden_size=384, intermediate_size=1536, num_attention_heads=12, num_hidden_layers=layers)
            )
            assert COSTS[name].document.weights == pytest.approx(weights(bert.encoder), rel=0.02)
            assert COSTS[name].query.weights == COSTS[name].document.weights
        for name, patch, (width, layers, text) in (
            ("clip-b32", 32, (768, 12, 512)),
            ("clip-l14", 14, (1024, 24, 768)),
        ):
            vision = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": layers}
            clip = CLIPModel(
                CLIPConfig(
                    vision_config={**vision, "patch_size": patch, "num_attention_heads": 16 if layers > 12 else 12},
                    text_config={"hidden_size": text, "intermediate_size": 4 * text, "num_attention_heads": text // 64},
                )
            )
            assert COSTS[name].document.weights == pytest.approx(weights(clip.vision_model.encoder), rel=0.02)
            assert COSTS[name].document.tokens == clip.vision_model.embeddings.num_positions
            assert COSTS[name].query.weights == pytest.approx(weights(clip.text_model.encoder), rel=0.02)
            assert COSTS[name].query.tokens == clip.text_model.config.max_position_embeddings
