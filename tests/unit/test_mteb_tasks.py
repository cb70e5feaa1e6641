"""Tasks of mteb, loaded by mteb's own code from folders in the Hub's layout; mteb's task object is the oracle."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import mteb
import numpy as np
import pytest
from mteb._create_dataloaders import create_dataloader
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.types import PromptType
from PIL import Image

from bench.data.catalogue import check_dataset_name, default_encoder, entry, open_dataset
from bench.data.counts import Counts
from bench.data.dataset import Dataset
from bench.data.folder import read_folder
from bench.data.mteb_tasks import MtebTask
from bench.data.split import default_recipe
from bench.errors import BadInput
from methods import Picture, UnknownName
from tests.conftest import write_hub

N = 20
Tables = dict[tuple[str, str], dict[str, list[Any]]]
Host = Callable[..., Path]


@pytest.fixture(autouse=True)
def own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Has a task of mteb read these tables instead of its repository, and say this of itself."""

    def put(task: str, tables: Tables, stats: dict[str, Any] | None = None) -> Path:
        folder = write_hub(tmp_path / "hub" / task, tables)
        monkeypatch.setitem(mteb.get_task(task).metadata.dataset, "path", str(folder))
        monkeypatch.setattr(TaskMetadata, "descriptive_stats", stats)
        return folder

    return put


def judged(pairs: list[tuple[str, str, int]]) -> dict[str, list[Any]]:
    return {"query-id": [p[0] for p in pairs], "corpus-id": [p[1] for p in pairs], "score": [p[2] for p in pairs]}


def texts(prefix: str = "", splits: tuple[str, ...] = ("test",)) -> Tables:
    """Documents 0 to 19, some with a title, and queries with ids of their own kind, three of which are documents'."""
    known = [str(number) if number in {3, 4, 5} else f"q{number}" for number in range(N)]
    pairs = [
        (key, str(answer % N), 1 + number % 2) for number, key in enumerate(known) for answer in (number, 3 * number)
    ]
    own = np.array_split(np.arange(N), len(splits))
    tables: Tables = {
        (f"{prefix}corpus", "corpus"): {
            "_id": [str(number) for number in range(N)],
            "title": [f" Title {number}" if number % 3 else "" for number in range(N)],
            "text": [f"text “{number}” " for number in range(N)],
        },
        (f"{prefix}queries", "queries"): {"_id": known, "text": [f" query {number}?" for number in range(N)]},
    }
    for split, rows in zip(splits, own, strict=True):
        chosen = {known[row] for row in rows}
        tables[f"{prefix}qrels" if prefix else "default", split] = judged([p for p in pairs if p[0] in chosen])
    return tables


def theirs(task: str, subset: str = "default") -> Iterator[tuple[str, Any, dict[str, Any], dict[str, Any]]]:
    """Yields split, task, documents and queries as mteb hands them to a model."""
    loaded = mteb.get_task(task, hf_subsets=None if subset == "default" else [subset])
    loaded.load_data()
    loaded.convert_v1_dataset_format_to_v2(num_proc=None)
    for split in loaded.eval_splits:
        items = []
        for column, side in (("corpus", PromptType.document), ("queries", PromptType.query)):
            table = loaded.dataset[subset][split][column]
            (kind,) = loaded.metadata.get_modalities(side)
            batches = create_dataloader(table, task_metadata=loaded.metadata, prompt_type=side, input_column=kind)
            items.append({key: item for batch in batches for key, item in zip(batch["id"], batch[kind], strict=True)})
        yield split, loaded.dataset[subset][split]["relevant_docs"], *items


def judgements(dataset: Dataset) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {key: {} for key in dataset.query_ids}
    for pair, row in enumerate(dataset.qrels.rows.tolist()):
        document = dataset.document_ids[dataset.qrels.columns[pair]]
        found[dataset.query_ids[row]][document] = int(dataset.qrels.values[pair])
    return found


def test_texts_and_judgements_are_what_mteb_hands_to_a_model(host: Host) -> None:
    host("NFCorpus", texts())
    dataset = open_dataset("mteb/NFCorpus")
    ((_, relevant, documents, queries),) = theirs("NFCorpus")
    assert dict(zip(dataset.document_ids, dataset.documents, strict=True)) == documents
    assert dict(zip(dataset.query_ids, dataset.queries, strict=True)) == {f"test:{k}": q for k, q in queries.items()}
    assert judgements(dataset) == {f"test:{key}": own for key, own in relevant.items()}
    assert default_recipe(dataset) == "random"
    assert dataset.name == "mteb/NFCorpus"


def test_only_a_task_that_says_so_keeps_a_query_from_finding_its_own_id(host: Host) -> None:
    host("NFCorpus", texts())
    assert open_dataset("mteb/NFCorpus").exclude.lengths.sum() == 0, "equal ids by accident"
    host("ArguAna", texts())
    dataset = open_dataset("mteb/ArguAna")
    excluded = {
        dataset.query_ids[row]: dataset.document_ids[column]
        for row, column in zip(dataset.exclude.rows, dataset.exclude.columns, strict=True)
    }
    assert excluded == {"3": "3", "4": "4", "5": "5"}
    ((_, relevant, _, _),) = theirs("ArguAna")
    assert sorted(key for key in relevant if key in relevant[key]) == ["3", "4", "5"], "judged on themselves"
    assert judgements(dataset) == {
        key: {document: grade for document, grade in own.items() if document != key} for key, own in relevant.items()
    }


def test_instructions_follow_their_queries(host: Host) -> None:
    tables = texts()
    asked = tables["queries", "queries"]["_id"]
    tables["instruction", "instruction"] = {"query-id": asked, "instruction": [f"be {key}" for key in asked]}
    host("IFIRFiQA", tables)
    dataset = open_dataset("mteb/IFIRFiQA")
    ((_, _, _, queries),) = theirs("IFIRFiQA")
    assert dict(zip(dataset.query_ids, dataset.queries, strict=True)) == queries
    assert queries["q0"] == " query 0? be q0"


def test_a_task_may_load_in_a_way_of_its_own(host: Host) -> None:
    titles = [f"headline {number}" for number in range(N)]
    host("SNLRetrieval", {("default", "test"): {"headline": titles, "article": [f"about {title}" for title in titles]}})
    dataset = open_dataset("mteb/SNLRetrieval")
    ((_, relevant, documents, queries),) = theirs("SNLRetrieval")
    assert dict(zip(dataset.document_ids, dataset.documents, strict=True)) == documents
    assert dict(zip(dataset.query_ids, dataset.queries, strict=True)) == {f"test:{k}": q for k, q in queries.items()}
    assert judgements(dataset) == {f"test:{key}": own for key, own in relevant.items()}
    assert len(documents) == len(queries) == N


def test_a_subset_and_its_splits(host: Host) -> None:
    folder = host("MLQARetrieval", texts("deu-eng-", ("validation", "test")))
    dataset = open_dataset("mteb/MLQARetrieval/deu-eng")
    parts = list(theirs("MLQARetrieval", "deu-eng"))
    assert [split for split, *_ in parts] == ["validation", "test"]
    assert judgements(dataset) == {
        f"{split}:{key}": own for split, relevant, *_ in parts for key, own in relevant.items()
    }
    kept = entry("mteb/MLQARetrieval/deu-eng").folder("mteb/MLQARetrieval/deu-eng")
    assert sorted(path.name for path in (kept / "qrels").iterdir()) == ["dev.tsv", "test.tsv"]
    assert json.loads((kept / "source.json").read_text()) == {
        str(folder): MtebTask("MLQARetrieval", "deu-eng").revision
    }


def test_an_official_split_is_kept(host: Host) -> None:
    host("ChemHotpotQARetrieval", texts(splits=("train", "dev", "test")))
    dataset = open_dataset("mteb/ChemHotpotQARetrieval")
    assert default_recipe(dataset) == "official"
    for split, relevant, *_ in theirs("ChemHotpotQARetrieval"):
        assert {dataset.query_ids[row] for row in dataset.official[split]} == {f"{split}:{key}" for key in relevant}


def picture(number: int, kind: str) -> Image.Image:
    """A PIL image as if read from a file of that kind."""
    pixels = np.random.default_rng(number).integers(0, 256, (6, 5, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return Image.open(io.BytesIO(file.getvalue()))


def pictures(asked: str) -> Tables:
    """Documents that are pictures in three formats, and queries that are texts or pictures."""
    kinds = ("PNG", "JPEG", "BMP")
    queries = {
        "id": [f"q{number}" for number in range(N)],
        asked: [picture(100 + n, kinds[n % 3]) if asked == "image" else f"query {n}" for n in range(N)],
    }
    return {
        ("corpus", "test"): {
            "id": [f"d{number}" for number in range(N)],
            "image": [picture(number, kinds[number % 3]) for number in range(N)],
        },
        ("queries", "test"): queries,
        ("qrels", "test"): judged([(f"q{number}", f"d{number}", 1) for number in range(N)]),
    }


def rows(path: Path) -> dict[str, dict[str, Any]]:
    return {row["_id"]: row for row in map(json.loads, path.read_text().splitlines())}


def shown(image: Image.Image) -> list[Any]:
    return np.asarray(image.convert("RGB")).tolist()


@pytest.mark.parametrize(("task", "asked"), [("Flickr30kT2IRetrieval", "text"), ("FORBI2IRetrieval", "image")])
def test_pictures_are_mtebs(host: Host, task: str, asked: str) -> None:
    host(task, pictures(asked))
    folder = entry(f"mteb/{task}").folder(f"mteb/{task}")
    ((_, relevant, documents, queries),) = theirs(task)
    found = rows(folder / "corpus.jsonl")
    assert list(found) == list(documents) == list((dataset := read_folder(folder)).document_ids)
    assert all(
        isinstance(item, Picture) for item in (*dataset.documents, *(dataset.queries if asked == "image" else ()))
    )
    for key, image in documents.items():
        path = folder / found[key]["image"]
        assert path.suffix == (".jpg" if int(key[1:]) % 3 == 1 else ".png"), "BMP becomes PNG"
        assert shown(Image.open(path)) == shown(image)
    for key, query in queries.items():
        row = rows(folder / "queries.jsonl")[f"test:{key}"]
        assert row[asked] == query if asked == "text" else shown(Image.open(folder / row["image"])) == shown(query)
    lines = (folder / "qrels" / "test.tsv").read_text().splitlines()[1:]
    assert lines == [f"test:{key}\t{document}\t{grade}" for key in queries for document, grade in relevant[key].items()]


def test_a_second_extraction_is_the_same(host: Host, tmp_path: Path) -> None:
    """mteb gives judgements in an order that changes from run to run."""
    host("NFCorpus", texts())
    source = MtebTask("NFCorpus")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        MtebTask("NFCorpus").write("mteb/NFCorpus", tmp_path / name)
    assert read_folder(tmp_path / "one").fingerprint == read_folder(tmp_path / "other").fingerprint
    assert source.key("") == MtebTask("NFCorpus").key("")


def test_another_revision_or_split_is_another_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    about = mteb.get_task("NFCorpus").metadata
    keys = {MtebTask("NFCorpus").key(""), MtebTask("SciFact").key(""), MtebTask("MLQARetrieval", "deu-eng").key("")}
    keys.add(MtebTask("MLQARetrieval", "eng-deu").key(""))
    monkeypatch.setitem(about.dataset, "revision", "other")
    keys.add(MtebTask("NFCorpus").key(""))
    monkeypatch.setattr(about, "eval_splits", ["train"])
    keys.add(MtebTask("NFCorpus").key(""))
    assert len(keys) == 6


def stats(documents: int = N, queries: int = N, judgements: int = 37) -> dict[str, Any]:
    told = {"num_documents": documents, "num_queries": queries}
    return {**told, "relevant_docs_statistics": {"num_relevant_docs": judgements}}


@pytest.mark.parametrize(("what", "wrong"), [("documents", 21), ("queries", 19), ("judgements", 38)])
def test_other_counts_than_mteb_has_are_refused(host: Host, tmp_path: Path, what: str, wrong: int) -> None:
    tables = texts()
    tables["default", "test"]["score"][2] = 0  # of 38 pairs
    host("NFCorpus", tables, {"test": stats()})
    assert MtebTask("NFCorpus").counts_by_split == {"test": Counts(N, N, 37)}
    assert MtebTask("NFCorpus").counts == Counts(N, N, 37, exact=False)
    assert len(open_dataset("mteb/NFCorpus").documents) == N
    host("SciFact", tables, {"test": stats(**{what: wrong})})
    have = {"documents": N, "queries": N, "judgements": 37}[what]
    with pytest.raises(BadInput, match=rf"^mteb/SciFact: {have} {what} in test instead of {wrong}; .*HF_HOME$"):
        open_dataset("mteb/SciFact")
    assert len(list((tmp_path / "cache" / "data").iterdir())) == 1, "nothing half-written"


def test_the_counts_of_a_subset(host: Host) -> None:
    told = {
        split: {**stats(1, 2, 3), "hf_subset_descriptive_stats": {"deu-eng": stats(4, 5, 6)}} for split in ("test",)
    }
    host("MLQARetrieval", texts("deu-eng-", ("validation", "test")), told)
    assert MtebTask("MLQARetrieval", "deu-eng").counts_by_split == {"test": Counts(4, 5, 6)}
    assert MtebTask("MLQARetrieval", "deu-spa").counts_by_split == {}


def test_the_counts_that_mteb_ships() -> None:
    assert MtebTask("NFCorpus").counts_by_split == {"test": Counts(3633, 323, 12334)}
    assert MtebTask("Flickr30kT2IRetrieval").counts_by_split == {"test": Counts(1000, 5000, 5000)}
    assert MtebTask("Touche2020").counts_by_split == {}, "counted by an older mteb"


def test_an_entry_says_what_mteb_says() -> None:
    found = entry("mteb/ArguAna")
    assert found.about.startswith("ArguAna: Retrieval of the Best Counterargument")
    assert found.licence == "cc-by-sa-4.0"
    assert entry("mteb/NFCorpus").licence == "not stated"
    assert default_encoder("mteb/ArguAna") == "minilm"
    assert default_encoder("mteb/FORBI2IRetrieval") == "clip-b32"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("mteb/Banking77Classification", "of the type Classification, category t2c; it must be Retrieval"),
        ("mteb/AskUbuntuDupQuestions", "of the type Reranking, category t2t; it must be Retrieval"),
        (
            "mteb/OVENIT2TRetrieval",
            "of the type Any2AnyRetrieval, category it2t; it must be Retrieval of texts or images",
        ),
        ("mteb/ClothoT2ARetrieval", "category t2a; it must be Retrieval of texts or images by texts or images"),
        ("mteb/CUB200I2IRetrieval", "mteb drops the first result of each query"),
        (
            "mteb/StatcanDialogueDatasetRetrieval",
            "several subsets; write mteb/StatcanDialogueDatasetRetrieval/SUBSET with one of",
        ),
        ("mteb/ArguAna/eng", "no subset 'eng'; write mteb/ArguAna/SUBSET with one of: default"),
    ],
)
def test_what_cannot_be_opened(name: str, problem: str) -> None:
    with pytest.raises(BadInput) as error:
        open_dataset(name)
    assert str(error.value).startswith("/".join(name.split("/")[:2]) + ": ")
    assert problem in str(error.value)
    assert "\n" not in str(error.value)


def test_a_task_of_one_subset_needs_no_subset() -> None:
    assert MtebTask("CovidQA").hf_subset == MtebTask("CovidQA", "Covid-QA").hf_subset == "Covid-QA"


def test_an_unknown_task_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown task of mteb 'ArguAma'; did you mean 'ArguAna'"):
        open_dataset("mteb/ArguAma")


def test_without_mteb_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(BadInput, match=r"^mteb/ArguAna: the package mteb is missing; pip install 'tunebench\[mteb\]'$"):
        open_dataset("mteb/ArguAna")


def test_a_hub_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setitem(mteb.get_task("ArguAna").metadata.dataset, "path", "mteb/nobody-has-it")
    revision = mteb.get_task("ArguAna").metadata.revision
    with pytest.raises(
        BadInput, match=rf"^mteb/ArguAna: cannot load mteb/nobody-has-it at revision {revision} \("
    ) as error:
        open_dataset("mteb/ArguAna")
    assert str(error.value).endswith("with a network it is kept under HF_HOME")
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "cache" / "data").iterdir())


def test_ids_that_cannot_be_told_apart(host: Host) -> None:
    tables = texts()
    tables["corpus", "corpus"]["_id"][7] = "6"
    host("NFCorpus", tables)
    with pytest.raises(BadInput, match=r"^mteb/NFCorpus: two documents have the id '6', which cannot be told apart$"):
        open_dataset("mteb/NFCorpus")
    tables = texts()
    tables["queries", "queries"]["_id"][7] = "q6"
    host("SciFact", tables)
    with pytest.raises(BadInput, match=r"^mteb/SciFact: two queries have the id 'q6', which cannot be told apart$"):
        open_dataset("mteb/SciFact")


def test_a_conversation_is_no_text(host: Host) -> None:
    tables = texts()
    tables["queries", "queries"]["text"] = [[f"query {number}"] for number in range(N)]
    host("NFCorpus", tables)
    with pytest.raises(BadInput, match=r"^mteb/NFCorpus: 'q0' is a list instead of a text$"):
        open_dataset("mteb/NFCorpus")


def test_a_name_is_checked_without_mteb() -> None:
    check = "from bench.data.catalogue import check_dataset_name as check; check('mteb/X')"
    code = f"import sys; {check}; print('mteb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr
    with pytest.raises(UnknownName, match="did you mean 'mteb/TASK'"):
        check_dataset_name("mtab/TASK")
