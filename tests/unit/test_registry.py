"""Methods by name, and strings that say which one is meant."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

import methods
from methods import _registry, hyperparameters, label, load_method, method_names, parse


@pytest.mark.parametrize(
    "text",
    [
        "none",
        "adaptor[batch=64,learning_rate=0.01]",
        "adaptor[compat=reference]+nudge-n[gamma=0.25]",
        "nudge-n[metric=hit@1]",
        "adaptor[learning_rate=1e-05]+none",
    ],
)
def test_canonical_labels_are_fixed_points(text: str) -> None:
    assert label(parse(text)) == text


def test_defaults_and_order_do_not_change_the_label() -> None:
    assert label(parse(" adaptor[ scale=25.0 , batch=64 ] ")) == "adaptor[batch=64]"
    assert label(parse("nudge-n[gamma=none]")) == "nudge-n"
    assert label(parse("adaptor[learning_rate=1e+1]+none")) == "adaptor[learning_rate=10.0]+none"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nudge-q", "unknown method 'nudge-q'; did you mean 'nudge-"),
        ("xyz", "known: adaptor"),
        ("adaptor[bach=3]", "unknown hyperparameter of adaptor 'bach'; did you mean 'batch'"),
        ("adaptor[batch=many]", "adaptor[batch]: 'many' is not a valid int"),
        ("adaptor[compat=referense]", "did you mean 'reference'"),
        ("none[a=1]", "unknown hyperparameter of none"),
        ("adaptor[batch=3", "write name or name[key=value,…]"),
        ("", "write name or name"),
    ],
)
def test_errors_name_the_nearest(text: str, said: str) -> None:
    with pytest.raises(methods.UnknownName, match=re.escape(said)):
        parse(text)


def test_what_is_not_tuned_is_identified_as_before_anything_could_be() -> None:
    assert set(hyperparameters(parse("none"))) == {"name", "version", "join_dev", "train_share"}
    assert hyperparameters(parse("nudge-m[tune=5]")) == {**hyperparameters(parse("nudge-m")), "tune": 5}


def test_listing_imports_no_method() -> None:
    code = "import sys, methods; methods.method_names(); print(*(name for name in sys.modules if name in sys.argv))"
    modules = [f"methods.{name.replace('-', '_')}" for name in method_names()]
    listed = subprocess.run([sys.executable, "-c", code, *modules], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == []


def test_classes_are_found_by_their_names() -> None:
    assert methods.NudgeN is load_method("nudge-n")
    with pytest.raises(AttributeError, match="no attribute 'NudgeQ'"):
        _ = methods.NudgeQ


@pytest.fixture
def plugins(monkeypatch):
    """Installs entry points for the length of a test."""

    def install(**points: str) -> None:
        found = [EntryPoint(name.replace("_", "-"), value, _registry.GROUP) for name, value in points.items()]
        monkeypatch.setattr(_registry, "entry_points", lambda group: found)
        method_names.cache_clear()

    yield install
    method_names.cache_clear()


def test_a_plug_in_is_a_method_like_any_other(plugins) -> None:
    plugins(swap_documents="toys:SwapDocuments")
    assert label(parse("swap-documents+nudge-n")) == "swap-documents+nudge-n"


def test_a_plug_in_may_not_take_a_name_that_exists(plugins) -> None:
    plugins(nudge_n="toys:SwapDocuments")
    with pytest.raises(ValueError, match="'nudge-n' is registered twice"):
        method_names()


def test_a_plug_in_whose_package_is_missing_is_listed_with_the_reason(plugins) -> None:
    from bench.listing import LISTS

    plugins(absent="no_such_package:Method")
    rows = {row["name"]: row for row in LISTS["methods"]()}
    assert rows["absent"]["about"] == "not available: No module named 'no_such_package'"
    assert rows["absent"]["from"] == "no_such_package:Method"
    assert rows["nudge-n"]["from"] == "tunebench"
