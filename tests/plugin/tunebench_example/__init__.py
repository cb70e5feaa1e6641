"""A method and a data set for tunebench."""
