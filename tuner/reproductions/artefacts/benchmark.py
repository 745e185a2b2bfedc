"""The CRD framework's benchmark: every method on every pair."""

from collections.abc import Sequence
from itertools import pairwise

from tuner.reports.document import Table
from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.pairs_table import (
    FindPublished,
    pairs_table,
    published_by_pair,
    verdicts,
)
from tuner.reproductions.experiment import Pair
from tuner.reproductions.results import Results

WIDEST = 4  # pairs that fit the width of a page


def benchmark(results: Results) -> Artefact:
    """The best method of each pair, then the tables of the two kinds of pairs."""
    known = published_by_pair("crd-benchmark")
    findings, table = verdicts(results, known)
    return Artefact(findings, [table, *_tables(results, known)])


def _tables(results: Results, known: FindPublished) -> list[Table]:
    """One architecture and two, as in the paper, each split where a page is too narrow."""
    pairs = results.experiment.pairs
    same = [pair for pair in pairs if _family(pair.teacher) == _family(pair.student)]
    different = [pair for pair in pairs if pair not in same]
    tables = []
    for name, title, chosen in (
        ("same", "Teacher and student of one architecture", same),
        ("different", "Teacher and student of two architectures", different),
    ):
        parts = _parted(chosen)
        for number, part in enumerate(parts, 1):
            of = f" ({number} of {len(parts)})" if len(parts) > 1 else ""
            ending = f"-{number}" if len(parts) > 1 else ""
            tables.append(pairs_table(results, part, known, name=name + ending, title=title + of))
    return tables


def _parted(pairs: Sequence[Pair]) -> list[Sequence[Pair]]:
    """As few parts as fit a page, of nearly equal size."""
    num_parts = -(-len(pairs) // WIDEST)
    ends = [round(len(pairs) * n / num_parts) for n in range(num_parts + 1)] if pairs else []
    return [pairs[start:end] for start, end in pairwise(ends)]


def _family(network: str) -> str:
    """The architecture in a network's name: resnet56 and resnet8x4 are of one."""
    return network.rstrip("x_0123456789")
