"""From clicks and ratings to grades."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

SHARES = {3: 1 / 2, 2: 1 / 5, 1: 1 / 20}  # grade to the least part of the clicks on the query's most clicked document


def of_clicks(clicks: Mapping[str, float]) -> dict[str, int]:
    """The grades of the documents of one query by the clicks on each.

    A document has grade 3 with at least half as many clicks as the query's most clicked one, 2 with a fifth, 1 with a
    twentieth, and is not relevant with fewer. So a grade depends neither on how often a query is asked nor on chance
    clicks on what stands beside the answer; that what stands first is clicked more is not corrected.
    """
    most = max(clicks.values(), default=0.0)
    grades = {
        document: next((grade for grade, share in SHARES.items() if 0 < number >= share * most), 0)
        for document, number in clicks.items()
    }
    return {document: grade for document, grade in grades.items() if grade}


def of_ratings(ratings: Mapping[str, list[float]], least: float) -> dict[str, int]:
    """The grades of the documents of one query by the ratings of each, of which the mean counts.

    Args:
        ratings: document id to one rating or more.
        least: the lowest that makes a document relevant, with grade 1; each whole point more is one grade more.
    """
    means = {document: fmean(own) for document, own in ratings.items()}
    return {document: 1 + math.floor(mean - least) for document, mean in means.items() if mean >= least}
