"""The one error that is the user's to mend."""


class BadInput(Exception):
    """Input that cannot be used. Its text is one line that names the file, the line in it and the remedy."""


def one_line(error: Exception) -> str:
    """What an error of another package says, short enough to stand in a line of ours."""
    return " ".join(str(error).split())[:200]
