"""The API docs: docstrings taken apart by hand, and what must hold of the data set as a whole."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError
from textwrap import dedent
from types import ModuleType

import numpy as np
import pytest

from bench.data import _installed, apidocs
from bench.data._docstrings import parse, plain
from bench.data._near_copies import near_copies
from bench.data._public_api import PublicObject, _members, public_objects
from bench.data.dataset import Extraction
from bench.errors import BadInput

DOCSTRING = """
    Smooth(a, width=3,
           mode='same')

    Smooth an `array`, i.e. take means of
    its ``values``. The ends are mirrored by :func:`~toy.tools.mirror` first.

    It is fast. The method has been described at length in [1]_.
    See the guide for all the details of this.
    Errors are smaller than those of rivals [1]_, [2]_. The *width* must be odd, and **never** negative:

    .. math:: a + b

    where all of the values have been summed before.

    .. versionadded:: 1.2
       This sentence is about versions and not wanted.

    - An item of a list is not running prose.

    >>> smooth([1, 2, 3]) # doctest that has six words.

    Parameters
    ----------
    a : array_like of shape (n,)
        What is smoothed, see `here <https://example.org>`_.

        .. deprecated:: 1.3
            Lists.
    width : int, optional
        Of the window.

        >>> smooth([1, 2, 3], width=1)

    Returns
    -------
    smoothed : ndarray
        Not a part of the document at all.

    See Also
    --------
    mirror : Mirror the ends
        of an array.
    median, :func:`~toy.tools.mode` : Another measure of location.
    mean
    variance : See mean.

    Notes
    -----
    The algorithm runs in linear time (cf. Smith et al. 1999 for proofs).

    D = x + y = z * (1 - 2) * 3 == 4 / 5.

    References
    ----------
    .. [1] Smith, J. "A paper on the smoothing of arrays by taking means."
    """


def test_docstring_is_taken_apart() -> None:
    parsed = parse(DOCSTRING)
    assert parsed.summary == "Smooth an array, i.e. take means of its values."
    assert parsed.prose == (
        "The ends are mirrored by mirror first.",
        "Errors are smaller than those of rivals.",
        "The algorithm runs in linear time (cf. Smith et al. 1999 for proofs).",
    )
    assert parsed.parameters == (
        "a : array_like of shape (n,) What is smoothed, see here. width : int, optional Of the window."
    )
    assert parsed.see_also == (
        ("mirror", "Mirror the ends of an array."),
        ("median", "Another measure of location."),
        ("toy.tools.mode", "Another measure of location."),
    )
    assert not parsed.deprecated


@pytest.mark.parametrize("docstring", ["Sum.\n\n.. deprecated:: 1.0\n    Gone soon.\n", "DEPRECATED: use other."])
def test_deprecated_objects_are_recognised(docstring: str) -> None:
    assert parse(docstring).deprecated


@pytest.mark.parametrize("docstring", ["", "f(x)", "   ", "Parameters\n----------\n", ">>> 1 + 1"])
def test_docstring_without_prose_says_nothing(docstring: str) -> None:
    parsed = parse(docstring)
    assert (parsed.summary, parsed.prose, parsed.parameters, parsed.see_also) == ("", (), "", ())


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        (":class:`numpy.ndarray` of :math:`n^2`", "numpy.ndarray of n^2"),
        ("`text <https://example.org>`_ and `link`_", "text and link"),
        ("``f(*args, **kwargs)`` takes *args* or **kwargs**", "f(*args, **kwargs) takes args or kwargs"),
        ("of order $n$ [3]_ [Knuth-97]_, and\n  more", "of order n, and more"),
        (r"the \*args", "the *args"),
        ("a * b and c * d", "a * b and c * d"),
    ],
)
def test_markup_becomes_plain_text(markup: str, text: str) -> None:
    assert plain(markup) == text


def test_members_are_public_documented_and_own() -> None:
    module = ModuleType("toy.inner")

    def function() -> None:
        """Does something."""

    function.__module__ = "toy.inner"
    foreign = dedent  # from another module
    vars(module).update(function=function, _private=function, foreign=foreign, bare=lambda: None, constant=3)
    assert [name for name, _ in _members(module)] == ["function"]
    vars(module)["__all__"] = ["foreign", "constant", "absent"]
    assert [name for name, _ in _members(module)] == ["foreign"]


def test_aliases_are_one_object_under_its_most_public_name() -> None:
    names = {item.names[0]: item.names for item in public_objects("networkx")}
    assert "networkx.algorithms.link_analysis.pagerank_alg.pagerank" in names["networkx.pagerank"]
    every = [name for known in names.values() for name in known]
    assert len(set(every)) == len(every)
    assert not any(part.startswith("_") or part == "tests" for name in every for part in name.split("."))


def test_chains_of_near_copies_are_one_group() -> None:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    chain = [" ".join(words), " ".join([*words[1:], "lambda"]), " ".join([*words[2:], "lambda", "mu"])]
    texts = ["quite another text", *chain, "Theta, alpha. BETA gamma delta: epsilon zeta eta iota kappa!"]
    ends = [texts[0], chain[0], chain[2]]
    assert near_copies(texts, 0.7).tolist() == [0, 1, 1, 1, 1]
    assert near_copies(ends, 0.7).tolist() == [0, 1, 2]
    assert near_copies(texts, 0.999).tolist() == [0, 1, 2, 3, 1]


def test_queries_reach_the_twins_of_their_documents() -> None:
    documents = {"one.f": "f of the same thing", "two.f": "f of the same thing", "three.g": "g of another matter"}
    relevant = apidocs.close_over_twins({"a": ["two.f"], "b": ["three.g"], "c": ["two.f", "three.g"]}, documents)
    assert relevant == {"a": ["one.f", "two.f"], "b": ["three.g"], "c": ["one.f", "three.g", "two.f"]}


def test_pruning_goes_on_until_all_is_well() -> None:
    many = [f"d{number}" for number in range(9)]
    relevant = {"too many": many, "1": ["d1", "d2"], "2": ["d1", "d2"], "3": ["d1"], "4": ["d2", "d3"], "5": ["d3"]}
    assert apidocs.prune(relevant) == {"1": ["d1", "d2"], "2": ["d1", "d2"], "3": ["d1"], "4": ["d2"]}
    assert apidocs.prune({"1": ["d1"], "2": ["d1", "d2"]}) == {}


def test_boilerplate_is_dropped_whatever_name_it_bears() -> None:
    boilerplate = [(f"m.f{number} has support for arrays.", f"m.f{number}") for number in range(9)]
    rare = [("f0 has a root.", "m.f0"), ("f1 has a root.", "m.f1")]
    assert list(apidocs._without_boilerplate([*boilerplate, *rare])) == rare
    assert list(apidocs._without_boilerplate(boilerplate[:8])) == boilerplate[:8]


def test_equal_sentences_become_one_query() -> None:
    sentences = [("Sum of x.", "a"), ("sum of X", "b"), ("Sum of y.", "a")]
    assert apidocs._merge(sentences) == {"Sum of x.": ["a", "b"], "Sum of y.": ["a"]}


def test_neighbours_are_looked_up_from_the_inside_out() -> None:
    known = {"p.f": "p.f", "p.m.f": "p.m.f", "q.f": "q.f"}
    assert apidocs._resolve("f", ["p.m.g"], known) == "p.m.f"
    assert apidocs._resolve("f", ["p.n.g"], known) == "p.f"
    assert apidocs._resolve("f", ["r.g", "p.g"], known) == "p.f"
    assert apidocs._resolve("q.f", ["p.m.g"], known) == "q.f"
    assert not apidocs._resolve("h", ["p.m.g"], known)


def test_references_describe_another_object_that_is_documented() -> None:
    see_also = "See Also\n--------\ng : Another one.\nf : This one.\nh : Not at hand."
    objects = [PublicObject(("p.f", "p.m.f"), see_also), PublicObject(("p.g",), ""), PublicObject(("p.h",), "")]
    docs = {"p.f": parse(see_also), "p.g": parse("")}
    assert list(apidocs._references(objects, docs)) == [("Another one.", "p.g")]


def test_missing_package_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name == "networkx":
            raise PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(_installed, "version", version)
    with pytest.raises(BadInput, match=r"^apidocs: .*networkx .*pip install 'tunebench\[embedded\]'$"):
        apidocs.extract()


class Recorder:
    """Passes calls on to `near_copies` and remembers them."""

    def __init__(self) -> None:
        self.calls: list[dict[str, int]] = []

    def __call__(self, texts: Sequence[str], cosine: float) -> np.ndarray:
        groups = near_copies(texts, cosine)
        self.calls.append(dict(zip(texts, groups.tolist(), strict=True)))
        return groups


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture(scope="module")
def extraction(recorder: Recorder) -> Extraction:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apidocs, "near_copies", recorder)
        return apidocs.extract()


def test_size_is_as_planned(extraction: Extraction) -> None:
    assert 1700 <= len(extraction.documents) <= 2500
    assert 7000 <= len(extraction.queries) <= 9500
    assert {name.partition(".")[0] for name, _ in extraction.documents} == set(apidocs.PACKAGES.values())
    assert set(extraction.source) == set(apidocs.PACKAGES)


def test_judgements_stand_on_what_is_there(extraction: Extraction) -> None:
    assert list(extraction.qrels) == list(extraction.queries) == list(extraction.groups)
    count = Counter(name for names in extraction.qrels.values() for name in names)
    assert count.keys() == dict(extraction.documents).keys()
    assert min(count.values()) >= 3
    assert {len(names) for names in extraction.qrels.values()} == set(range(1, 9))
    assert {grade for names in extraction.qrels.values() for grade in names.values()} == {1}


def test_texts_are_words_and_differ(extraction: Extraction) -> None:
    texts = list(extraction.queries.values())
    assert len({text.casefold().rstrip(".") for text in texts}) == len(texts)
    assert all(len(text.split()) >= 2 and "`" not in text and ">>>" not in text for text in texts)
    for name, text in extraction.documents:
        assert text.startswith(f"{name} ")
        assert 2 <= len(text.split()) <= 96


def test_query_ids_name_a_document_of_theirs(extraction: Extraction) -> None:
    assert all(key.partition("#")[0] in names for key, names in extraction.qrels.items())


def test_what_is_not_public_is_not_there(extraction: Extraction) -> None:
    parts = {part for name, _ in extraction.documents for part in name.split(".")[:-1]}
    assert not parts & {"tests", "externals", "_lib", "core", "conftest"}
    assert not any(name.rpartition(".")[2].startswith("_") for name, _ in extraction.documents)
    assert "scipy.odr.ODR" not in dict(extraction.documents)  # deprecated as a whole


def test_judgements_are_closed_over_twins(extraction: Extraction, recorder: Recorder) -> None:
    twins, _ = recorder.calls
    group = {name: twins[text] for name, text in extraction.documents}
    size = Counter(group.values())
    assert max(size.values()) > 1
    for names in extraction.qrels.values():
        assert sum(size[number] for number in {group[name] for name in names}) == len(names)


def test_near_copies_share_a_group_and_groups_are_small(extraction: Extraction) -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts, groups = list(extraction.queries.values()), np.array(list(extraction.groups.values()))
    vectors = TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True).fit_transform(texts)  # noqa: S106
    sample = np.arange(0, len(texts), 7)
    cosines = (vectors[sample] @ vectors.T).toarray()
    near = cosines > 0.8 + 1e-6
    assert near.sum() > 1.1 * len(sample)
    assert (groups[sample][:, None] == groups[None])[near].all()
    assert Counter(groups.tolist()).most_common(1)[0][1] < 0.01 * len(texts)


DIGEST = """
import hashlib
from bench.data.apidocs import extract
print(hashlib.sha256(repr(extract()).encode()).hexdigest())
"""


def test_extractions_agree_in_any_process(extraction: Extraction) -> None:
    assert repr(apidocs.extract()) == repr(extraction)
    run = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == hashlib.sha256(repr(extraction).encode()).hexdigest()
    assert not run.stderr
