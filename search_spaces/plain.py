"""The empty search space of plain training: one setting."""

from search_spaces.space import Space

SPACE = Space(method="plain", params=(), source="cross-entropy only")
