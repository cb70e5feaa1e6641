"""A data set: numbers in words, asked for in digits and in Roman numerals."""

from __future__ import annotations

from pathlib import Path

from bench.data.catalogue import Entry
from bench.data.counts import Counts
from bench.data.dataset import Extraction
from bench.data.folder import write_folder

TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ROMAN = ((90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))
NUMBERS = range(20, 100)


class Counted:
    """Where it comes from: nowhere but here."""

    def key(self, name: str) -> str:
        """Is changed whenever the data set would be another one."""
        return "1"

    def write(self, name: str, folder: Path) -> None:
        """Writes it as a BEIR folder."""
        queries = {f"digits-{n}": f"{n}" for n in NUMBERS} | {f"roman-{n}": roman(n) for n in NUMBERS}
        extraction = Extraction(
            documents=[(f"number-{n}", words(n)) for n in NUMBERS],
            queries=queries,
            qrels={key: {f"number-{key.partition('-')[2]}": 1} for key in queries},
            source={name: "1"},
        )
        write_folder(folder, extraction)


def words(number: int) -> str:
    """From twenty to ninety-nine."""
    units = ("", "-one", "-two", "-three", "-four", "-five", "-six", "-seven", "-eight", "-nine")
    return TENS[number // 10] + units[number % 10]


def roman(number: int) -> str:
    """From I to XCIX."""
    written = ""
    for value, letters in ROMAN:
        times, number = divmod(number, value)
        written += letters * times
    return written


ENTRY = Entry(
    about="numbers in words, asked for in digits and Roman numerals",
    licence="CC0-1.0",
    citation="nobody",
    source=Counted(),
    counts=Counts(80, 160, 160),
)
