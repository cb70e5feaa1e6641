"""The text sets of the NUDGE paper (Zeighami et al. 2024, arXiv 2409.02343) as its authors host them, split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

REPOSITORY = "sepz/{}_ft"


@dataclass(frozen=True)
class PaperSet:
    """One of the paper's sets.

    Attributes:
        about: what is searched for in what, in one line.
        licence: of the set that it was made from, as BEIR's or its own paper gives it.
    """

    about: str
    licence: str


SETS: Mapping[str, PaperSet] = {
    "nfcorpus": PaperSet("medical abstracts for questions about nutrition, split by the paper", "not stated"),
    "scifact": PaperSet("abstracts that prove or refute scientific claims, split by the paper", "CC BY-NC 2.0"),
    "arguana": PaperSet("counter-arguments to arguments, split by the paper", "CC BY 4.0"),
    "fever": PaperSet("Wikipedia abstracts that prove or refute claims, split by the paper", "CC BY-SA 3.0"),
    "nq": PaperSet("Wikipedia passages that answer Google queries, split by the paper", "CC BY-SA 3.0"),
    "triviaqa": PaperSet("Wikipedia passages that answer trivia questions, split by the paper", "Apache-2.0"),
    "hotpotqa": PaperSet("Wikipedia passages for questions that need two, split by the paper", "CC BY-SA 4.0"),
}
