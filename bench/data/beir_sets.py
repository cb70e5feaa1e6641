"""BEIR's public data sets (Thakur et al. 2021, arXiv 2104.08663), with the checksums that its authors publish.

Licences are those of BEIR's paper; counts and sizes are those of ir_datasets 0.6.3, which took them from the same zips,
and agree with mteb's where it has them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.data.counts import Counts

URL = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/{}.zip"


@dataclass(frozen=True)
class BeirSet:
    """A row of BEIR's list.

    Attributes:
        about: what is searched for in what, in one line.
        licence: "not stated" where BEIR's paper finds none.
        citation: of whoever made it.
        md5: of the zip.
        megabytes: of the zip.
        splits: those that are judged.
        counts: what it holds, all splits together.
    """

    about: str
    licence: str
    citation: str
    md5: str
    megabytes: float
    splits: str
    counts: Counts


FORUMS = {
    "android": Counts(22_998, 699, 1_696),
    "english": Counts(40_221, 1_570, 3_765),
    "gaming": Counts(45_301, 1_595, 2_263),
    "gis": Counts(37_637, 885, 1_114),
    "mathematica": Counts(16_705, 804, 1_358),
    "physics": Counts(38_316, 1_039, 1_933),
    "programmers": Counts(32_176, 876, 1_675),
    "stats": Counts(42_269, 652, 913),
    "tex": Counts(68_184, 2_906, 5_154),
    "unix": Counts(47_382, 1_072, 1_693),
    "webmasters": Counts(17_405, 506, 1_395),
    "wordpress": Counts(48_605, 541, 744),
}
SETS: Mapping[str, BeirSet] = {
    "msmarco": BeirSet(
        "web passages that answer Bing queries",
        "MIT, not commercial",
        "Nguyen et al. 2016",
        "444067daf65d982533ea17ebd59501e4",
        1082,
        "train, dev, test",
        Counts(8_841_823, 509_962, 544_290),
    ),
    "trec-covid": BeirSet(
        "articles about COVID-19 for questions of researchers",
        "its own agreement",
        "Voorhees et al. 2021",
        "ce62140cb23feb9becf6270d0d1fe6d1",
        74,
        "test",
        Counts(171_332, 50, 24_673),
    ),
    "nfcorpus": BeirSet(
        "medical abstracts for questions about nutrition",
        "not stated",
        "Boteva et al. 2016",
        "a89dba18a62ef92f7d323ec890a0d38d",
        2.4,
        "train, dev, test",
        Counts(3_633, 3_237, 134_294),
    ),
    "nq": BeirSet(
        "Wikipedia passages that answer Google queries",
        "CC BY-SA 3.0",
        "Kwiatkowski et al. 2019",
        "d4d3d2e48787a744b6f6e691ff534307",
        498,
        "test",
        Counts(2_681_468, 3_452, 4_201),
    ),
    "hotpotqa": BeirSet(
        "Wikipedia abstracts for questions that need two of them",
        "CC BY-SA 4.0",
        "Yang et al. 2018",
        "f412724f78b0d91183a0e86805e16114",
        654,
        "train, dev, test",
        Counts(5_233_329, 97_852, 195_704),
    ),
    "fiqa": BeirSet(
        "answers to questions about money",
        "not stated",
        "Maia et al. 2018",
        "17918ed23cd04fb15047f73e6c3bd9d9",
        18,
        "train, dev, test",
        Counts(57_638, 6_648, 17_110),
    ),
    "arguana": BeirSet(
        "counter-arguments to arguments",
        "CC BY 4.0",
        "Wachsmuth et al. 2018",
        "8ad3e3c2a5867cdced806d6503f29b99",
        3.8,
        "test",
        Counts(8_674, 1_406, 1_406),
    ),
    "webis-touche2020": BeirSet(
        "arguments for controversial questions",
        "CC BY 4.0",
        "Bondarenko et al. 2020",
        "46f650ba5a527fc69e0a6521c5a23563",
        227,
        "test",
        Counts(382_545, 49, 932),
    ),
    "quora": BeirSet(
        "questions that ask the same",
        "not stated",
        "Quora 2017",
        "18fb154900ba42a600f84b839c173167",
        16,
        "dev, test",
        Counts(522_931, 15_000, 23_301),
    ),
    "dbpedia-entity": BeirSet(
        "entities of DBpedia for keywords",
        "CC BY-SA 3.0",
        "Hasibi et al. 2017",
        "c2a39eb420a3164af735795df012ac2c",
        639,
        "dev, test",
        Counts(4_635_922, 467, 16_691),
    ),
    "scidocs": BeirSet(
        "papers that a paper cites",
        "GPL-3.0",
        "Cohan et al. 2020",
        "38121350fc3a4d2f48850f6aff52e4a9",
        142,
        "test",
        Counts(25_657, 1_000, 4_928),
    ),
    "fever": BeirSet(
        "Wikipedia abstracts that prove or refute claims",
        "CC BY-SA 3.0",
        "Thorne et al. 2018",
        "5a818580227bfb4b35bb6fa46d9b6c03",
        1237,
        "train, dev, test",
        Counts(5_416_568, 123_142, 156_101),
    ),
    "climate-fever": BeirSet(
        "Wikipedia abstracts for claims about the climate",
        "not stated",
        "Diggelmann et al. 2020",
        "8b66f0a9126c521bae2bde127b4dc99d",
        1229,
        "test",
        Counts(5_416_593, 1_535, 4_681),
    ),
    "scifact": BeirSet(
        "abstracts that prove or refute scientific claims",
        "CC BY-NC 2.0",
        "Wadden et al. 2020",
        "5f7d1de60b170fc8027bb7898e2efca1",
        2.8,
        "train, test",
        Counts(5_183, 1_109, 1_258),
    ),
    **{
        f"cqadupstack/{forum}": BeirSet(
            f"questions on {forum} that ask the same",
            "Apache-2.0",
            "Hoogeveen et al. 2015",
            "4e41456d7df8ee7760a7f866133bda78",
            5344,
            "test",
            counts,
        )
        for forum, counts in FORUMS.items()
    },
}
