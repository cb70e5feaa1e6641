"""Suites and the cells that they unfold into."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.data.catalogue import CATALOGUE as DATASETS
from bench.data.catalogue import check_dataset_name, default_encoder
from bench.embed.encoders import check_encoder_name
from bench.errors import BadInput
from bench.spec import Cell, Suite, make_suite, read_suite, suite_names
from methods import UnknownName, label, parse


def suite(**fields: object) -> Suite:
    return make_suite("test", {"name": "s", "datasets": ["a"], "methods": ["none"], "seeds": [0], **fields})


def cells(asked: Suite) -> list[Cell]:
    return list(asked.cells(lambda dataset: f"encoder of {dataset}"))


def test_cells_that_share_data_and_encoder_follow_one_another() -> None:
    asked = suite(
        datasets=["a", "b"], encoders=["x", "y"], methods=["none", "nudge-n"], seeds=[1, 0], split="grouped", limit=50
    )
    assert cells(asked) == [
        Cell(dataset, encoder, method, seed, "grouped", 50)
        for dataset in ("a", "b")
        for encoder in ("x", "y")
        for seed in (1, 0)
        for method in ("none", "nudge-n")
    ]


def test_without_encoders_every_data_set_has_its_own() -> None:
    found = cells(suite(datasets=["a", "b"]))
    assert [(cell.dataset, cell.encoder) for cell in found] == [("a", "encoder of a"), ("b", "encoder of b")]
    assert [(cell.split, cell.limit) for cell in found] == [("default", None)] * 2


def test_a_data_set_can_have_encoders_of_its_own() -> None:
    asked = suite(datasets=["a", "b", "c"], encoders={"b": ["y", "x", "y"], "a": ["z"], "not asked for": ["w"]})
    found = [(cell.dataset, cell.encoder) for cell in cells(asked)]
    assert found == [("a", "z"), ("b", "y"), ("b", "x"), ("c", "encoder of c")]


def test_a_data_set_can_have_methods_of_its_own() -> None:
    asked = suite(datasets=["a", "b"], methods={"b": ["nudge-n", "none"], "a": ["none"], "not asked for": ["nudge-m"]})
    assert [(cell.dataset, cell.method) for cell in cells(asked)] == [("a", "none"), ("b", "nudge-n"), ("b", "none")]


def test_a_data_set_without_methods_is_named() -> None:
    asked = suite(datasets=["a", "b"], methods={"a": ["none"]})
    with pytest.raises(BadInput, match="s: methods: none for b; add it to the table, or pass --methods"):
        cells(asked)


def test_what_is_named_twice_runs_once() -> None:
    asked = suite(
        datasets=["a", "a"],
        encoders=["x", "x"],
        seeds=[0, 1, 0],
        methods=[
            "none",
            "nudge-n",
            " none ",
            "nudge-n[]",
            "nudge-n[gamma=none]",
            "nudge-n[compat=none,metric=ndcg@10]",
        ],
    )
    assert [(cell.seed, cell.method) for cell in cells(asked)] == [
        (0, "none"),
        (0, "nudge-n"),
        (1, "none"),
        (1, "nudge-n"),
    ]


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("none", "none"),
        ("adaptor[steps=9,batch=64]", "adaptor[batch=64,steps=9]"),
        ("adaptor[ batch = 64 , steps=3000 ]", "adaptor[batch=64]"),
        ("adaptor[learning_rate=0.001]", "adaptor"),
        ("adaptor[learning_rate=1e-2]", "adaptor[learning_rate=0.01]"),
        ("adaptor[scale=25]", "adaptor"),
        ("nudge-n[gamma=0.30]", "nudge-n[gamma=0.3]"),
        ("adaptor[batch=64] + nudge-n[gamma=none]", "adaptor[batch=64]+nudge-n"),
    ],
)
def test_methods_have_one_spelling(written: str, canonical: str) -> None:
    (cell,) = cells(suite(methods=[written]))
    assert cell.method == canonical
    assert label(parse(canonical)) == canonical


def test_what_can_be_tuned_stands_there_twice() -> None:
    methods = ["none", "nudge-m", "adaptor[batch=64] + nudge-n", "nudge-m[step=sum,normalise=true]"]
    found = [cell.method for cell in cells(suite(methods=methods, tune=20))]
    assert found == [
        "none",
        "nudge-m",
        "nudge-m[tune=20]",
        "adaptor[batch=64]+nudge-n",
        "adaptor[tune=20,batch=64]+nudge-n",
        "nudge-m[step=sum,normalise=true]",
    ]


def test_what_has_trials_already_keeps_them() -> None:
    asked = suite(methods=["nudge-m[tune=5]", "nudge-m[tune=20]", "nudge-m"], tune=20)
    assert [cell.method for cell in cells(asked)] == ["nudge-m[tune=5]", "nudge-m[tune=20]", "nudge-m"]


def test_an_unknown_method_is_found_when_cells_unfold() -> None:
    with pytest.raises(UnknownName, match="did you mean 'adaptor'"):
        cells(suite(methods=["none", "adapter"]))


def test_a_cell_says_what_it_is() -> None:
    assert str(Cell("apidocs", "minilm", "nudge-n", 3, "default", None)) == "apidocs · minilm · nudge-n · seed 3"


@pytest.mark.parametrize("name", suite_names())
def test_suites_that_come_along_name_what_exists(name: str) -> None:
    found = read_suite(name)
    assert found.name == name
    assert 10 < len(found.about) < 120, "`tunebench list suites` shows it"
    for dataset in found.datasets:
        check_dataset_name(dataset)
        for encoder in found.encoders_of(dataset):
            check_encoder_name(encoder)
    unfolded = list(found.cells(default_encoder))
    for dataset in found.datasets:
        here = [cell for cell in unfolded if cell.dataset == dataset]
        methods = found.methods_of(dataset)
        assert len(here) == (len(found.encoders_of(dataset)) or 1) * len(found.seeds) * len(methods)
        assert {cell.method for cell in here} == set(methods), "written as they will appear in tables"
        assert "none" in methods, "gains need a baseline"


def test_the_suite_of_the_paper_has_its_models_where_they_apply() -> None:
    paper = read_suite("paper")
    texts = dict.fromkeys(["nfcorpus", "scifact", "arguana", "fever", "nq", "triviaqa", "hotpotqa"], "bge gte te3")
    pictures = dict.fromkeys(["flickr30k", "coco"], "clip clip")
    found = {name: [encoder.partition("-")[0] for encoder in paper.encoders_of(name)] for name in paper.datasets}
    assert found == {f"paper/{name}": models.split() for name, models in {**texts, **pictures}.items()}
    assert paper.seeds == (0,)


def test_default_encoders_exist() -> None:
    for name in DATASETS:
        check_encoder_name(default_encoder(name))
    assert default_encoder("folder:/somewhere") == "minilm"


def test_there_is_a_quick_suite_and_it_is_listed() -> None:
    assert "quick" in suite_names()
    assert suite_names() == sorted(suite_names())


def test_a_file_is_named_after_itself_unless_it_says_otherwise(tmp_path: Path) -> None:
    text = 'datasets = ["apidocs"]\nmethods = ["none"]\nseeds = [0, 1]\n'
    (tmp_path / "mine.toml").write_text(text)
    assert read_suite(str(tmp_path / "mine.toml")) == suite(name="mine", datasets=["apidocs"], seeds=[0, 1])
    (tmp_path / "mine.toml").write_text(f'name = "other"\n{text}')
    assert read_suite(str(tmp_path / "mine.toml")).name == "other"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"datasets = [", "not valid TOML"),
        (b'datasets = ["caf\xe9"]', "not valid TOML"),
        (b"", "Field required"),
        (b'datasets = "apidocs"\nmethods = ["none"]\nseeds = [0]', "datasets: "),
        (b'datasets = []\nmethods = ["none"]\nseeds = [0]', "datasets: .*at least 1"),
        (b'datasets = ["apidocs"]\nmethods = []\nseeds = [0]', "methods.list: .*at least 1"),
        (b'datasets = ["apidocs"]\nseeds = [0]\n[methods]\napidocs = "none"', "methods.table.apidocs: "),
        (
            b'datasets = ["apidocs"]\nmethods = ["none"]\nseeds = [0]\nencoders = {apidocs = "minilm"}',
            "encoders.table.apidocs: ",
        ),
        (b'datasets = ["apidocs"]\nmethods = ["none"]\nseeds = [0.5]', "seeds.0: "),
        (b'datasets = ["apidocs"]\nmethods = ["none"]\nseeds = [0]\nlimit = -1', "limit: "),
        (b'datasets = ["apidocs"]\nmethods = ["none"]\nseeds = [0]\nsplit = "half"', "split: "),
        (b'datasets = ["apidocs"]\nmethods = ["none"]\nseeds = [0]\ntune = 1', "tune: .*greater than or equal to 2"),
        (b'datasets = ["apidocs"]\nmethods = ["none"]\nseed = [0]', "unknown field 'seed'; did you mean 'seeds'"),
    ],
)
def test_a_file_that_is_no_suite_is_named_with_what_is_wrong(tmp_path: Path, text: bytes, what: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text)
    with pytest.raises(BadInput, match=what) as error:
        read_suite(str(path))
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_an_unknown_suite_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown suite 'quik'; did you mean 'quick'"):
        read_suite("quik")


def test_a_suite_of_the_house_is_found_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick").write_text("not a suite")
    assert read_suite("quick").name == "quick"
