"""Reads the papers' published numbers from `published.yaml`, the only place that has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from tuner.config.yaml_file import load_yaml

# Columns that hold what is printed and where; a row's other columns are its key.
PRINTED = ("mean", "std", "text", "source")


@dataclass(frozen=True)
class Value:
    """A published number."""

    mean: float
    std: float | None
    text: str  # with the digits as printed: "71.52 ± 0.25"


@dataclass(frozen=True)
class Published:
    """A table or a figure of a paper.

    Every row has its key columns and "text", what is printed; "mean" and "std" only where
    numbers are printed, and "source" only where it differs from the entry's.
    """

    name: str
    source: str
    status: str  # "given": read in the paper; "from elsewhere": quoted in another text
    what: str
    notes: tuple[str, ...]
    assumed: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    data: str | None = None
    teacher: str | None = None  # if the entry has one pair
    student: str | None = None

    def row(self, **key: str | float) -> Mapping[str, Any] | None:
        """The only row with these columns, or None.

        Raises KeyError for a column that no row has, ValueError where several rows match.
        """
        columns = {column for row in self.rows for column in row if column not in PRINTED}
        if unknown := sorted(set(key) - columns):
            raise KeyError(f"{self.name} has no column {', '.join(unknown)}")
        found = [row for row in self.rows if key.items() <= row.items()]
        if len(found) > 1:
            raise ValueError(f"{self.name} has {len(found)} rows with {key}")
        return found[0] if found else None

    def value(self, **key: str | float) -> Value | None:
        """The number in the row that `row` finds; None if there is no row or it has only a text."""
        row = self.row(**key)
        if row is None or "mean" not in row:
            return None
        return Value(row["mean"], row.get("std"), row["text"])


def published(name: str) -> Published:
    """The entry of a reproduction. Raises KeyError for an unknown name."""
    return all_published()[name]


@cache
def all_published() -> Mapping[str, Published]:
    """All entries, by name."""
    text = files("tuner.reproductions").joinpath("published.yaml").read_bytes()
    return {name: _published(name, entry) for name, entry in load_yaml(text).items()}


def _published(name: str, entry: dict[str, Any]) -> Published:
    lists = {key: tuple(entry.get(key, ())) for key in ("notes", "assumed")}
    rows = tuple(_row(row) for row in entry["rows"])
    return Published(name, **(entry | lists | {"rows": rows}))


def _row(row: dict[str, str]) -> Mapping[str, Any]:
    """A row of the file with its numbers parsed; there they are texts, to keep their digits."""
    numbers = {key: float(row[key]) for key in ("mean", "std") if key in row}
    text = row.get("text") or " ± ".join(row[key] for key in numbers)
    return row | numbers | {"text": text}
