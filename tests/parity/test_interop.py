"""A tuned corpus in the hands of mteb and beir: the lines that a user writes, and the scores that come out."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import mteb
import numpy as np
import pandas as pd
import pytest
import torch
from beir.datasets.data_loader import GenericDataLoader
from mteb.abstasks.task_metadata import TaskMetadata
from PIL import Image

from bench.data.dataset import Dataset
from bench.data.folder import read_folder
from bench.data.split import split_queries
from bench.embed.encoders import open_encoder
from bench.embed.sentence import SentenceEncoder
from bench.errors import BadInput
from bench.interop import BeirSearch, MtebSearch
from bench.score import score
from methods import Corpus, Item, Judged, Picture, Problem, Role, Tuned, VectorTuned, fit, parse
from tests.conftest import write_hub

README = Path(__file__).parents[2] / "README.md"
WITH_MTEB, WITH_BEIR = (
    next(code for code in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if name in code)
    for name in ("MtebSearch", "BeirSearch")
)
METHODS = pytest.mark.parametrize("tuned", ["none", "nudge-n", "adaptor[batch=16,steps=20]"], indirect=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any, write_beir: Any, toy_folder: Path) -> Path:
    """The toy data, its queries split, some documents with titles."""
    corpus, queries = (pd.read_json(toy_folder / f"{name}.jsonl", lines=True) for name in ("corpus", "queries"))
    judged = pd.read_csv(toy_folder / "qrels" / "test.tsv", sep="\t")
    part = judged["query-id"].str[1:].astype(int) % 3
    return write_beir(
        tmp_path_factory.mktemp("split") / "toy",
        {
            key: {"title": "title" if number % 3 else "", "text": text}
            for number, (key, text) in enumerate(zip(corpus["_id"], corpus["text"], strict=True))
        },
        {key: {"text": text} for key, text in zip(queries["_id"], queries["text"], strict=True)},
        {
            "train": judged[part > 0].itertuples(index=False, name=None),
            "test": judged[part == 0].itertuples(index=False, name=None),
        },
    )


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return read_folder(folder)


@pytest.fixture(scope="module")
def encoder(tiny_model: Path) -> SentenceEncoder:
    return open_encoder(f"st:{tiny_model}")


@pytest.fixture(scope="module")
def parts(dataset: Dataset, encoder: SentenceEncoder) -> list[Judged]:
    """Train, dev and test queries."""
    vectors = encoder.encode(dataset.queries, "query")
    chosen = [torch.from_numpy(rows) for rows in vars(split_queries(dataset, "official", 0)).values()]
    return [
        Judged([dataset.queries[row] for row in rows], vectors[rows], relevant=dataset.qrels.take(rows))
        for rows in chosen
    ]


@pytest.fixture(scope="module")
def tuned(request: pytest.FixtureRequest, dataset: Dataset, encoder: SentenceEncoder, parts: list[Judged]) -> Tuned:
    vectors = torch.nn.functional.normalize(encoder.encode(dataset.documents, "document"), dim=1)
    return fit(
        parse(getattr(request, "param", "nudge-n")),
        Problem(Corpus.from_vectors(vectors.numpy(), dataset.documents), parts[0], parts[1]),
    )


@pytest.fixture
def names(tuned: Tuned, encoder: SentenceEncoder, dataset: Dataset) -> dict[str, Any]:
    return {"tuned": tuned, "encoder": encoder, "dataset": dataset}


@pytest.fixture
def hosted(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has mteb find the test queries as its task SciFact."""
    corpus, queries = (pd.read_json(folder / f"{name}.jsonl", lines=True) for name in ("corpus", "queries"))
    judged = pd.read_csv(folder / "qrels" / "test.tsv", sep="\t")
    tables = {("corpus", "corpus"): corpus, ("queries", "queries"): queries, ("default", "test"): judged}
    hub = write_hub(tmp_path / "hub", {key: table.to_dict("list") for key, table in tables.items()})
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    monkeypatch.setitem(mteb.get_task("SciFact").metadata.dataset, "path", str(hub))


@METHODS
def test_mteb_evaluates_it(hosted: None, names: dict[str, Any], parts: list[Judged]) -> None:
    exec(WITH_MTEB, names)  # noqa: S102
    (theirs,) = names["result"].task_results[0].scores["test"]
    ours = score(names["tuned"].search(parts[2], 100), parts[2].relevant)
    assert 0.1 < theirs["main_score"] < 0.99
    for name, own in (("ndcg@10", "ndcg_at_10"), ("recall@10", "recall_at_10"), ("map@100", "map_at_100")):
        assert theirs[own] == pytest.approx(ours[name].mean(), abs=1e-5), name


@METHODS
def test_beir_evaluates_it(folder: Path, names: dict[str, Any], parts: list[Judged]) -> None:
    names["corpus"], names["queries"], qrels = GenericDataLoader(str(folder)).load("test")
    exec(WITH_BEIR, names)  # noqa: S102
    ndcg, mean_precision, recall, _ = names["EvaluateRetrieval"].evaluate(qrels, names["found"], [10, 100])
    ours = score(names["tuned"].search(parts[2], 100), parts[2].relevant)
    assert ndcg["NDCG@10"] == pytest.approx(ours["ndcg@10"].mean(), abs=1e-5)
    assert recall["Recall@10"] == pytest.approx(ours["recall@10"].mean(), abs=1e-5)
    assert mean_precision["MAP@100"] == pytest.approx(ours["map@100"].mean(), abs=1e-5)


def test_another_corpus_is_refused(names: dict[str, Any], dataset: Dataset) -> None:
    corpus = {key: {"text": ""} for key in dataset.document_ids}
    del corpus["d3"]
    problem = r"^the corpus to search differs from the tuned one in 1 documents, 'd3' among them; tune on the corpus"
    with pytest.raises(BadInput, match=problem):
        BeirSearch(**given(names)).search(corpus, {"q": "word"}, 10, "cos_sim")
    with pytest.raises(BadInput, match=problem):
        MtebSearch(**given(names)).index(datasets.Dataset.from_dict({"id": list(corpus)}))
    corpus |= {"d3": {"text": ""}, "new": {"text": ""}}
    with pytest.raises(BadInput, match="'new' among them"):
        BeirSearch(**given(names)).search(corpus, {"q": "word"}, 10, "cos_sim")


def given(names: dict[str, Any]) -> dict[str, Any]:
    return {"tuned": names["tuned"], "encoder": names["encoder"], "document_ids": names["dataset"].document_ids}


def test_ranking_anew_is_refused(names: dict[str, Any]) -> None:
    about, queries = mteb.get_task("SciFact").metadata, datasets.Dataset.from_dict({"id": ["q"], "text": ["word"]})
    with pytest.raises(BadInput, match=r"^mteb/SciFact: ranks given documents anew; a tuned corpus is searched whole$"):
        MtebSearch(**given(names)).search(queries, task_metadata=about, top_k=10, top_ranked={"q": ["d3"]})


def test_mteb_cannot_take_one_tuned_corpus_for_another(names: dict[str, Any]) -> None:
    one, other = MtebSearch(**given(names)), MtebSearch(**given(names))
    assert one.mteb_model_meta.revision == one.mteb_model_meta.revision != other.mteb_model_meta.revision


@dataclass
class Brightness:
    """Encodes a picture by its mean colour, and keeps what it saw."""

    seen: list[Item] = field(default_factory=list)

    def encode(self, items: Sequence[Item], role: Role) -> torch.Tensor:
        assert role == "query"
        self.seen += items
        means = []
        for item in items:
            assert isinstance(item, Picture)
            assert item.sha256 == hashlib.sha256(item.path.read_bytes()).hexdigest()
            means.append(np.asarray(Image.open(item.path).convert("RGB"), np.float32).mean((0, 1)))
        return torch.from_numpy(np.array(means))

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def test_pictures_ask() -> None:
    colours = np.eye(3, dtype=np.float32)
    asked = []
    for colour in (colours[[2, 0, 1]] * 255).astype(np.uint8):
        file = io.BytesIO()
        Image.fromarray(np.broadcast_to(colour, (4, 4, 3)).copy()).save(file, "PNG")
        asked.append(Image.open(io.BytesIO(file.getvalue())))
    queries = datasets.Dataset.from_dict({"id": ["blue", "red", "green"], "image": asked})
    tuned, encoder = VectorTuned(Corpus.from_vectors(colours)), Brightness()
    about: TaskMetadata = mteb.get_task("FORBI2IRetrieval").metadata
    found = MtebSearch(tuned, encoder, ["r", "g", "b"]).search(queries, task_metadata=about, top_k=1)
    assert {query: next(iter(own)) for query, own in found.items()} == {"blue": "b", "red": "r", "green": "g"}
    assert len(encoder.seen) == 3
