"""The examples in the docstrings of `methods` do what they say."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import methods

MODULES = ["methods", *(f"methods.{path.stem}" for path in sorted(Path(methods.__file__).parent.glob("_[a-z]*.py")))]
SHOWN = {"methods", "methods._contract", "methods._fit", "methods._queries", "methods._registry", "methods._tuned"}


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    done = doctest.testmod(import_module(name), optionflags=doctest.IGNORE_EXCEPTION_DETAIL)
    assert done.failed == 0
    assert done.attempted or name not in SHOWN, "it is where people look"
