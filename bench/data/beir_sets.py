"""BEIR's public data sets (Thakur et al. 2021, arXiv 2104.08663), with the checksums that its authors publish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{}.zip"


@dataclass(frozen=True)
class BeirSet:
    """A row of BEIR's list.

    Attributes:
        about: what is searched for in what, in one line.
        licence: as BEIR's paper gives it; "not stated" where it finds none.
        md5: of the zip.
        documents: how many it holds.
    """

    about: str
    licence: str
    md5: str
    documents: int


FORUMS = {
    "android": 22_998,
    "english": 40_221,
    "gaming": 45_301,
    "gis": 37_637,
    "mathematica": 16_705,
    "physics": 38_316,
    "programmers": 32_176,
    "stats": 42_269,
    "tex": 68_184,
    "unix": 47_382,
    "webmasters": 17_405,
    "wordpress": 48_605,
}
SETS: Mapping[str, BeirSet] = {
    "msmarco": BeirSet(
        "web passages that answer Bing queries", "MIT, not commercial", "444067daf65d982533ea17ebd59501e4", 8_841_823
    ),
    "trec-covid": BeirSet(
        "articles about COVID-19 for questions of researchers",
        "its own agreement",
        "ce62140cb23feb9becf6270d0d1fe6d1",
        171_332,
    ),
    "nfcorpus": BeirSet(
        "medical abstracts for questions about nutrition", "not stated", "a89dba18a62ef92f7d323ec890a0d38d", 3_633
    ),
    "nq": BeirSet(
        "Wikipedia passages that answer Google queries", "CC BY-SA 3.0", "d4d3d2e48787a744b6f6e691ff534307", 2_681_468
    ),
    "hotpotqa": BeirSet(
        "Wikipedia abstracts for questions that need two of them",
        "CC BY-SA 4.0",
        "f412724f78b0d91183a0e86805e16114",
        5_233_329,
    ),
    "fiqa": BeirSet("answers to questions about money", "not stated", "17918ed23cd04fb15047f73e6c3bd9d9", 57_638),
    "arguana": BeirSet("counter-arguments to arguments", "CC BY 4.0", "8ad3e3c2a5867cdced806d6503f29b99", 8_674),
    "webis-touche2020": BeirSet(
        "arguments for controversial questions", "CC BY 4.0", "46f650ba5a527fc69e0a6521c5a23563", 382_545
    ),
    "quora": BeirSet("questions that ask the same", "not stated", "18fb154900ba42a600f84b839c173167", 522_931),
    "dbpedia-entity": BeirSet(
        "entities of DBpedia for keywords", "CC BY-SA 3.0", "c2a39eb420a3164af735795df012ac2c", 4_635_922
    ),
    "scidocs": BeirSet("papers that a paper cites", "GPL-3.0", "38121350fc3a4d2f48850f6aff52e4a9", 25_657),
    "fever": BeirSet(
        "Wikipedia abstracts that prove or refute claims", "CC BY-SA 3.0", "5a818580227bfb4b35bb6fa46d9b6c03", 5_416_568
    ),
    "climate-fever": BeirSet(
        "Wikipedia abstracts for claims about the climate",
        "not stated",
        "8b66f0a9126c521bae2bde127b4dc99d",
        5_416_593,
    ),
    "scifact": BeirSet(
        "abstracts that prove or refute scientific claims", "CC BY-NC 2.0", "5f7d1de60b170fc8027bb7898e2efca1", 5_183
    ),
    **{
        f"cqadupstack/{forum}": BeirSet(
            f"questions on {forum} that ask the same", "Apache-2.0", "4e41456d7df8ee7760a7f866133bda78", documents
        )
        for forum, documents in FORUMS.items()
    },
}
