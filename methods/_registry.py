"""Methods by name. Listing reads file names; only the method that is asked for is imported."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from methods._contract import Method
from methods._fit import Chain

GROUP = "tunebench.methods"


class UnknownName(ValueError):
    """A name that nothing is registered under, or a hyperparameter that a method does not have."""


def nearest_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """The error for a name that is not known, with the nearest that is."""
    near = get_close_matches(name, list(known := sorted(known)), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return UnknownName(f"unknown {kind} {name!r}; {hint}")


@cache
def method_names() -> Mapping[str, EntryPoint | None]:
    """Every registered name, with the entry point that brought it or None for the files beside this one.

    Raises:
        ValueError: when two packages claim one name.
    """
    names: dict[str, EntryPoint | None] = {
        path.stem.replace("_", "-"): None
        for path in sorted(Path(__file__).parent.glob("*.py"))
        if not path.stem.startswith("_")
    }
    for point in entry_points(group=GROUP):
        if point.name in names:
            raise ValueError(f"method {point.name!r} is registered twice; uninstall {point.value!r} or rename it")
        names[point.name] = point
    return names


def load_method(name: str) -> type[Method]:
    """Imports one method.

    Raises:
        UnknownName: when there is none of that name.
        ImportError: when a package that it needs is missing.
    """
    if name not in method_names():
        raise nearest_name("method", name, method_names())
    point = method_names()[name]
    if point is not None:
        found: type[Method] = point.load()
        return found
    module = import_module(f"methods.{name.replace('-', '_')}")
    (found,) = (
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__
    )
    return found


def parse(text: str) -> Method:
    """Builds a method from `name[k=v,…]`, or a chain of them joined by `+`.

    Raises:
        UnknownName: for an unknown method, hyperparameter or value, with the nearest that exists.

    >>> parse("nudge-n[gamma=0.3]").gamma
    0.3
    >>> [link.name for link in parse("adaptor+nudge-n").links]
    ['adaptor', 'nudge-n']
    >>> parse("nudge-x")
    Traceback (most recent call last):
    methods._registry.UnknownName: unknown method 'nudge-x'; did you mean 'nudge-n'?
    """
    links = [_parse_link(part) for part in _links(text)]
    return links[0] if len(links) == 1 else Chain(tuple(links))


def origins(text: str) -> dict[str, str]:
    """The packages that other people's methods in what `parse` reads come from, by name, without importing them."""
    points = {name: method_names().get(name) for name in (part.partition("[")[0].strip() for part in _links(text))}
    return {name: origin(point) for name, point in points.items() if point is not None}


def origin(point: EntryPoint) -> str:
    """The package that an entry point comes from."""
    return f"{point.dist.name} {point.dist.version} ({point.value})" if point.dist else point.value


def label(method: Method) -> str:
    """The canonical string of a method: its name and the hyperparameters that differ from the defaults.

    >>> label(parse("nudge-n[ gamma=0.30, grid=false ]"))
    'nudge-n[gamma=0.3]'
    """
    if isinstance(method, Chain):
        return "+".join(label(link) for link in method.links)
    changed = [
        f"{field.name}={written(getattr(method, field.name))}"
        for field in fields(method)
        if getattr(method, field.name) != field.default
    ]
    return method.name + (f"[{','.join(changed)}]" if changed else "")


def hyperparameters(method: Method) -> dict[str, Any]:
    """Every hyperparameter with its value and the version, as plain JSON: what identifies the method's results.

    Without trials `tune` is left out, so that what is not tuned is what it was before anything could be.
    """
    if isinstance(method, Chain):
        return {"links": [hyperparameters(link) for link in method.links]}
    known = [field.name for field in fields(method) if field.name != "tune" or method.tune]
    return {"name": method.name, "version": method.version, **{name: getattr(method, name) for name in known}}


def _links(text: str) -> list[str]:
    return re.split(r"\+(?![^\[]*\])", text)


def _parse_link(text: str) -> Method:
    match = re.fullmatch(r"\s*([^\[\]]+?)\s*(?:\[(.*)\])?\s*", text)
    if match is None:
        raise UnknownName(f"method {text!r}: write name or name[key=value,…]")
    name, settings = match.groups()
    try:
        kind = load_method(name)
    except ImportError as error:
        raise UnknownName(f"method {name!r} is not available: {error}; install what it needs") from None
    hints = get_type_hints(kind)
    known = [field.name for field in fields(kind) if field.default is not MISSING]
    chosen: dict[str, Any] = {}
    for setting in filter(None, (settings or "").split(",")):
        key, _, value = (part.strip() for part in setting.partition("="))
        if key not in known:
            raise nearest_name(f"hyperparameter of {name}", key, known)
        chosen[key] = _read(f"{name}[{key}]", value, hints[key])
    return kind(**chosen)


def _read(what: str, text: str, hint: Any) -> Any:
    if get_origin(hint) is Literal:
        if text not in get_args(hint):
            raise nearest_name(f"value of {what}", text, get_args(hint))
        return text
    if isinstance(hint, UnionType):
        if text == "none":
            return None
        hint = next(part for part in get_args(hint) if part is not type(None))
    try:
        value = {"true": True, "false": False}[text] if hint is bool else hint(text)
    except (KeyError, ValueError):
        value = None
    if value is None or (hint is float and not math.isfinite(value)):
        raise UnknownName(f"{what}: {text!r} is not a valid {hint.__name__}")
    return value


def written(value: Any) -> str:
    """A hyperparameter's value as `parse` reads it."""
    return str(value).lower() if value is None or isinstance(value, bool) else f"{value}"
