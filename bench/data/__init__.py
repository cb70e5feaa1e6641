"""Data sets: the catalogue, the loaders, validation and splits."""
