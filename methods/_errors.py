"""The one error of this library that is about its input."""


class ProblemError(ValueError):
    """A problem that a method cannot be fitted on; one line that names the array, the row and the remedy."""
