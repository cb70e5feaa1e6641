"""The one error that is the user's to mend."""


class BadInput(Exception):
    """Input that cannot be used. Its text is one line that names the file, the line in it and the remedy."""
