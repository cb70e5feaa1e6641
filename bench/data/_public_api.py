"""The public functions and classes of an installed package, each under one name."""

from __future__ import annotations

import pkgutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

# Modules that are private in all but name: tests, scripts, vendored code, and the inner parts of numpy and pandas.
_SKIPPED = frozenset(
    {"compat", "conftest", "core", "distutils", "estimator_checks", "externals", "f2py", "io", "matlib", "tests"}
    | {"testutils", "util"}
)


@dataclass(frozen=True)
class PublicObject:
    """A documented function or class.

    Attributes:
        names: all the qualified names that it can be reached by, the most public one first.
        docstring: as written.
    """

    names: tuple[str, ...]
    docstring: str


def public_objects(package: str) -> list[PublicObject]:
    """Finds what a package offers, in alphabetical order.

    All of its public modules are imported; those that need something absent are passed over.
    """
    names: dict[int, list[str]] = {}
    docstrings: dict[int, str] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in _modules(package):
            for name, value in _members(module):
                names.setdefault(id(value), []).append(f"{module.__name__}.{name}")
                docstrings[id(value)] = str(value.__doc__)
    found = (PublicObject(tuple(sorted(names[key], key=_publicness)), text) for key, text in docstrings.items())
    return sorted(found, key=lambda item: item.names)


def _modules(name: str) -> Iterator[ModuleType]:
    try:
        module = import_module(name)
    except Exception:  # noqa: BLE001  # What an import misses may show as any error.
        return
    yield module
    for child in sorted(info.name for info in pkgutil.iter_modules(getattr(module, "__path__", ()))):
        if not child.startswith("_") and child not in _SKIPPED:
            yield from _modules(f"{name}.{child}")


def _members(module: ModuleType) -> Iterator[tuple[str, object]]:
    """Yields the documented functions and classes that a module gives out.

    Without `__all__` a package gives out whatever stems from its own modules, and a module what it defines itself. The
    module's dictionary is read, not its attributes: some names are attributes only to warn of their removal.
    """
    home = module.__name__.partition(".")[0] if hasattr(module, "__path__") else module.__name__
    listed = getattr(module, "__all__", None)
    for name, value in sorted(vars(module).items(), key=lambda item: item[0]):
        origin = f"{getattr(value, '__module__', '')}."
        offered = origin.startswith(f"{home}.") if listed is None else name in listed
        if offered and not name.startswith("_") and _is_documented(value):
            yield name, value


def _is_documented(value: object) -> bool:
    """Whether a value is a class or a function, compiled ones and ufuncs among them, and has a docstring."""
    return callable(value) and isinstance(getattr(value, "__name__", None), str) and isinstance(value.__doc__, str)


def _publicness(name: str) -> tuple[int, int, str]:
    return name.count("."), len(name), name
