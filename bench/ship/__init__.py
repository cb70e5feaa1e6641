"""From a cell to what a server needs, and what keeps that up to date."""
