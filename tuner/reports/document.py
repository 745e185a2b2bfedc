"""What a report consists of, whatever it is about: words first, then tables and figures.

A `Document` is written as one self-contained page, each table also as CSV and Parquet, each
figure also as PNG and SVG.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Table:
    """Cells as a person reads them, and the numbers behind them."""

    name: str  # of its files: tables/NAME.csv and tables/NAME.parquet
    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]  # of as many cells as there are headings
    data: pa.Table | None = None  # full precision; None: the cells are all there is
    note: str = ""  # how to read it
    num_text_columns: int = 1  # the first ones, aligned left; the others hold numbers
    emphasised: frozenset[int] = frozenset()  # numbers of rows
    faint: frozenset[int] = frozenset()  # the same: rows that do not count
    links: Mapping[int, str] = field(default_factory=dict)  # where a row's first cell leads


@dataclass(frozen=True)
class Figure:
    """A drawing under its title, and how to read it; without a drawing, why there is none."""

    name: str  # of its files: figures/NAME.png and figures/NAME.svg
    title: str
    caption: str
    drawing: Drawing | None = None


@dataclass(frozen=True)
class Text:
    """Paragraphs, or lines of code, under a title."""

    title: str
    paragraphs: Sequence[str]
    is_code: bool = False
    is_folded: bool = False  # shown when a person opens it


@dataclass(frozen=True)
class Facts:
    """What and value, in two columns."""

    title: str
    facts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Document:
    """A report, before it is written."""

    title: str
    findings: Sequence[str]  # what was found, in words; a paragraph each
    parts: Sequence[Table | Figure | Text | Facts]
    labels: Sequence[str] = field(default=())  # what limits it, such as "scaled down: 4 epochs"
