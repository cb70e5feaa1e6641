"""Photographs and their captions: the image sets of the NUDGE paper (Zeighami et al. 2024, arXiv 2409.02343).

A caption is a query, and its photograph the one answer. The paper splits by caption, at random; the captions of one
photograph are one group, so that a grouped split asks for photographs that no train query has asked for.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from bench.data.dataset import Extraction
from bench.data.download import Download
from bench.data.folder import write_folder
from bench.data.split import dealt
from bench.errors import BadInput

COCO = "http://images.cocodataset.org"
FLICKR = "https://huggingface.co/datasets/nlphuji/flickr30k/resolve/main"


@dataclass(frozen=True)
class Captions:
    """Where a data set comes from: a zip of photographs and a file of captions.

    Attributes:
        photographs: the zip.
        captions: the file.
        read: takes from that file, for each photograph, its path in the zip and its captions.
    """

    photographs: Download
    captions: Download
    read: Callable[[Path], Mapping[str, Sequence[str]]]

    def key(self, name: str) -> str:  # noqa: ARG002 — whatever it is called
        """Differs when the files do, where their maker gives checksums."""
        return self.captions.md5[:16] or "1"

    def write(self, name: str, folder: Path) -> None:
        """Unpacks it; the files are fetched first when they are not there.

        Raises:
            BadInput: when a file cannot be fetched or is damaged, or a photograph is missing.
        """
        captions, path = self.captions.fetched(name), self.photographs.fetched(name)
        try:
            captions_of = self.read(captions)
        except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{captions}: holds no captions as {name} has them ({error}); delete the file") from None
        photograph_of = {
            f"{PurePosixPath(member).stem}#{number}": PurePosixPath(member).stem
            for member, said in captions_of.items()
            for number in range(len(said))
        }
        try:
            with zipfile.ZipFile(path) as packed:
                extraction = Extraction(
                    documents=((PurePosixPath(member).stem, packed.read(member)) for member in captions_of),
                    queries=dict(
                        zip(photograph_of, (text for said in captions_of.values() for text in said), strict=True)
                    ),
                    qrels={caption: {photograph: 1} for caption, photograph in photograph_of.items()},
                    source={PurePosixPath(file.url).name: file.md5 for file in (self.photographs, self.captions)},
                    groups=photograph_of,
                    split_of=_split_of(list(photograph_of)),
                )
                write_folder(folder, extraction)
        except (zipfile.BadZipFile, KeyError) as error:
            raise BadInput(f"{path}: damaged, or not the photographs of {name} ({error}); delete the file") from None


def _split_of(captions: Sequence[str]) -> dict[str, str]:
    """The paper's recipe: all shuffled with seed 0, a tenth for dev, a fifth for test, at the most 10,000 each."""
    split = dealt(np.arange(len(captions)), seed=0)
    return {captions[row]: name for name, rows in vars(split).items() for row in rows}


def coco_captions(path: Path) -> dict[str, list[str]]:
    """The captions of COCO's photographs of 2014 for training, in their own form."""
    with zipfile.ZipFile(path) as packed:
        written = json.loads(packed.read("annotations/captions_train2014.json"))
    file_of = {image["id"]: f"train2014/{image['file_name']}" for image in written["images"]}
    captions: dict[str, list[str]] = {file: [] for file in file_of.values()}
    for annotation in written["annotations"]:
        if annotation["caption"].strip():
            captions[file_of[annotation["image_id"]]].append(annotation["caption"].strip())
    return captions


def flickr_captions(path: Path) -> dict[str, list[str]]:
    """The captions of Flickr30k, a table whose column `raw` is a JSON list."""
    rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    if "raw" not in (rows.fieldnames or ()):
        raise KeyError("raw")
    return {
        f"flickr30k-images/{row['filename']}": [text.strip() for text in json.loads(row["raw"]) if text.strip()]
        for row in rows
    }


COCO_CAPTIONS = Captions(
    Download(f"{COCO}/zips/train2014.zip", "0da8c0bd3d6becc4dcb32757491aca88"),
    Download(f"{COCO}/annotations/annotations_trainval2014.zip", "0a379cfc70b0e71301e0f377548639bd"),
    coco_captions,
)
FLICKR_CAPTIONS = Captions(
    Download(f"{FLICKR}/flickr30k-images.zip"), Download(f"{FLICKR}/flickr_annotations_30k.csv"), flickr_captions
)
