"""Reading a numpydoc docstring: its sentences, its parameters and what it says about its neighbours."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

_HEADING = re.compile(r"^(?P<title>[A-Z][A-Za-z ]*)[ \t]*\n[-=]{3,}[ \t]*$", re.MULTILINE)
_SIGNATURE = re.compile(r"(?:[\w., ]+=)?\s*[\w.]+\(.*\)(?:\s*->.*)?", re.DOTALL)
_DEPRECATED = re.compile(r"^(?:\.\. deprecated::|DEPRECATED)", re.MULTILINE)
_SEE_ALSO = re.compile(r"(?P<names>[\w.]+(?:\s*,\s*[\w.]+)*)\s*(?::\s*(?P<description>.*))?")

# A line that starts an indented block, a list item, a field, a table, a doctest or a rule: what is not running prose.
_NOT_PROSE = re.compile(r"\s|[-*+•]\s|\(?(?:\d+|[a-z#])[.)]\s|:\w[\w ]*:(?!`)|>>>|\||[-=~^+*]{3,}")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(]?[A-Z`:*])")
_ABBREVIATION = re.compile(r"\b(?:e\.?g|i\.?e|etc|cf|vs|al|figs?|eqs?|refs?|resp|approx|sec)\.$", re.IGNORECASE)

_WORD = re.compile(r"[^\W\d][\w.'’-]*")
_NAMELESS_CITATION = re.compile(r"\b(?:and|as|by|from|in|of|on|per|see|to|with)\s+\[[\w.\-]+\]_", re.IGNORECASE)
_CITATION = re.compile(r"(?:[\s,]*\[[\w.\-]+\]_)+(?:\s+(?=[.,;:]))?")
_ROLE = re.compile(r":(?:[\w+\-]+:)+(?=`)")
_SHORTENED = re.compile(r"`~(?:\w+\.)*(?P<text>\w+)`")
_LINK = re.compile(r"`(?P<text>[^`<>]+?)\s*<[^`<>]+>`_{0,2}")
_QUOTED = re.compile(r"`+(?P<text>[^`]+)`+_{0,2}")
_EMPHASIS = re.compile(r"(?<![\w*])(?P<mark>\*\*?)(?P<text>[A-Za-z](?:[^*\n]*[^*\s])?)(?P=mark)(?![\w*])")
_MATH = re.compile(r"\$(?P<text>[^$]+)\$")
_ESCAPE = re.compile(r"\\(?=[*_`|\s])")

# LaTeX, code, addresses, unclosed markup, and what a citation that was the point of its sentence leaves behind.
_UNREADABLE = re.compile(r"[\\`{}$|]|::|://|>>>|\]_|:$|\s\(\)|\s\[\d+\]\.?$")
_POINTER = re.compile(r"(?:(?:please )?(?:see|refer to)|read more|for .*\bsee|deprecated)\b", re.IGNORECASE)

_SUMMARY_WORDS = 2
_PROSE_WORDS = 6
_WORDLIKE_SHARE = 0.65


@dataclass(frozen=True)
class Docstring:
    """What a numpydoc docstring says, in plain text.

    Attributes:
        summary: the first sentence; empty when there is none that can be read.
        prose: the sentences of six words or more that follow it in the extended summary and in the notes.
        parameters: the section that describes the parameters, on one line.
        see_also: (name as written, description) of each neighbour that is described.
        deprecated: whether the docstring says that its object is.
    """

    summary: str
    prose: tuple[str, ...]
    parameters: str
    see_also: tuple[tuple[str, str], ...]
    deprecated: bool


def parse(docstring: str) -> Docstring:
    """Takes a docstring apart; what does not look like numpydoc comes back empty."""
    text = inspect.cleandoc(docstring)
    lead, *rest = _HEADING.split(_without_directives(text))
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    summary, *further = [*_sentences(lead), ""]
    further += _sentences(sections.get("Notes", ""))
    return Docstring(
        summary=summary if _readable(summary, _SUMMARY_WORDS) else "",
        prose=tuple(item for item in further if item.endswith(".") and _readable(item, _PROSE_WORDS)),
        parameters=plain(_without_doctests(sections.get("Parameters", ""))),
        see_also=tuple(_neighbours(sections.get("See Also", ""))),
        deprecated=_DEPRECATED.search(_HEADING.split(text)[0]) is not None,
    )


def plain(text: str) -> str:
    """Strips reStructuredText markup and citations, and puts the text on one line."""
    for pattern in (_CITATION, _ROLE, _ESCAPE):
        text = pattern.sub("", text)
    for pattern in (_SHORTENED, _LINK, _QUOTED, _MATH, _EMPHASIS):
        text = pattern.sub(r"\g<text>", text)
    return " ".join(text.split())


def _without_directives(text: str) -> str:
    """Drops directives, comments and footnotes (`.. anything`) with all that is indented under them."""
    kept: list[str] = []
    inside: int | None = None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if inside is not None and line.strip() and indent <= inside:
            inside = None
        if inside is None and line.lstrip().startswith(".. "):
            inside = indent
        if inside is None:
            kept.append(line)
    return "\n".join(kept)


def _without_doctests(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith((">>>", "...")))


def _sentences(body: str) -> Iterator[str]:
    """Yields the sentences of the running prose in a section, as plain text."""
    for paragraph in re.split(r"\n\s*\n", body.strip("\n")):
        if _SIGNATURE.fullmatch(paragraph.strip()):
            continue
        text = " ".join(takewhile(lambda line: not _NOT_PROSE.match(line), paragraph.splitlines()))
        for sentence in _split(text):
            if not sentence[0].islower() and not _NAMELESS_CITATION.search(sentence):
                yield plain(sentence)


def _split(text: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text[start : end.start()]):
            yield text[start : end.end()]
            start = end.end()
    if start < len(text):
        yield text[start:]


def _readable(sentence: str, least_words: int) -> bool:
    """Whether a sentence says something in words: it is neither code nor a formula nor a pointer elsewhere."""
    words = [word.strip("\"'(),.;:!?") for word in sentence.split()]
    wordlike = sum(_WORD.fullmatch(word) is not None for word in words)
    return (
        len(words) >= least_words
        and wordlike >= _WORDLIKE_SHARE * len(words)
        and not _UNREADABLE.search(sentence)
        and not _POINTER.match(sentence)
    )


def _neighbours(section: str) -> Iterator[tuple[str, str]]:
    """Yields (name, first sentence of its description) for each entry of a See Also section that has a description."""
    entries: list[tuple[list[str], list[str]]] = []
    for line in _ROLE.sub("", section).replace("`~", "").replace("`", "").splitlines():
        if line[:1].isspace():
            if entries:
                entries[-1][1].append(line)
        elif entry := _SEE_ALSO.fullmatch(line.strip()):
            entries.append((re.split(r"\s*,\s*", entry["names"]), [entry["description"] or ""]))
    for names, lines in entries:
        description = next(_sentences(" ".join(lines).strip()), "")
        if _readable(description, _SUMMARY_WORDS):
            yield from ((name, description) for name in names)
