"""The text sets of the NUDGE paper (Zeighami et al. 2024, arXiv 2409.02343) as its authors host them, split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.data.counts import Counts

REPOSITORY = "sepz/{}_ft"


@dataclass(frozen=True)
class PaperSet:
    """One of the paper's sets.

    Attributes:
        about: what is searched for in what, in one line.
        licence: of the set that it was made from, as BEIR's or its own paper gives it.
        citation: of whoever made that.
        counts: as the paper rounds them; the queries of SciFact and ArguAna are BEIR's, which they were made from.
    """

    about: str
    licence: str
    citation: str
    counts: Counts


SETS: Mapping[str, PaperSet] = {
    "nfcorpus": PaperSet(
        "medical abstracts for questions about nutrition, split by the paper",
        "not stated",
        "Boteva et al. 2016",
        Counts(3_600, 2_400, exact=False),
    ),
    "scifact": PaperSet(
        "abstracts that prove or refute scientific claims, split by the paper",
        "CC BY-NC 2.0",
        "Wadden et al. 2020",
        Counts(5_200, 1_100, exact=False),
    ),
    "arguana": PaperSet(
        "counter-arguments to arguments, split by the paper",
        "CC BY 4.0",
        "Wachsmuth et al. 2018",
        Counts(8_700, 1_400, exact=False),
    ),
    "fever": PaperSet(
        "Wikipedia abstracts that prove or refute claims, split by the paper",
        "CC BY-SA 3.0",
        "Thorne et al. 2018",
        Counts(5_420_000, 123_000, exact=False),
    ),
    "nq": PaperSet(
        "Wikipedia passages that answer Google queries, split by the paper",
        "CC BY-SA 3.0",
        "Kwiatkowski et al. 2019",
        Counts(7_630_000, 80_000, exact=False),
    ),
    "triviaqa": PaperSet(
        "Wikipedia passages that answer trivia questions, split by the paper",
        "Apache-2.0",
        "Joshi et al. 2017",
        Counts(7_630_000, exact=False),
    ),
    "hotpotqa": PaperSet(
        "Wikipedia passages for questions that need two, split by the paper",
        "CC BY-SA 4.0",
        "Yang et al. 2018",
        Counts(7_630_000, 94_000, exact=False),
    ),
}
