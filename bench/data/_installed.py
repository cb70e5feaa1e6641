"""The versions of the packages that a data set is taken from."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from bench.errors import BadInput


def installed_versions(data_set: str, distributions: Iterable[str]) -> dict[str, str]:
    """The version of each distribution, in the given order.

    Raises:
        BadInput: for the first that is not installed.
    """
    versions = {}
    for distribution in distributions:
        try:
            versions[distribution] = version(distribution)
        except PackageNotFoundError:
            raise BadInput(
                f"{data_set}: the package {distribution} is not installed; pip install 'tunebench[embedded]'"
            ) from None
    return versions
