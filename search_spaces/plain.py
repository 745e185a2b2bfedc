"""The empty space of a network trained alone: nothing to search, one setting."""

from search_spaces.space import Space

SPACE = Space(method="plain", params=(), source="cross-entropy only")
