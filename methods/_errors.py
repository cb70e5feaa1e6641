"""The errors of this library, which are about its input."""


class ProblemError(ValueError):
    """A problem that a method cannot be fitted on; one line that names the array, the row and the remedy."""


class Unsuited(ProblemError):
    """A problem of a kind that the method is not for: nothing is wrong with either."""
