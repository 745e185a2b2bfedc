"""MIMKD's Table 11: shallow students."""

from collections.abc import Sequence
from statistics import fmean

from tuner.reproductions.artefacts.artefact import Artefact
from tuner.reproductions.artefacts.pairs_table import (
    FindPublished,
    pairs_table,
    published_by_pair,
    verdicts,
)
from tuner.reproductions.results import Results


def shallow(results: Results) -> Artefact:
    """The best method of each pair, then a table for each student."""
    known = published_by_pair("mimkd-shallow")
    findings, table = verdicts(results, known)
    pairs = results.experiment.pairs
    by_student = [
        pairs_table(
            results,
            [pair for pair in pairs if pair.student == student],
            known,
            name=f"shallow-{number}",
            title=f"Table 11: the student {student}",
        )
        for number, student in enumerate(dict.fromkeys(pair.student for pair in pairs), 1)
    ]
    return Artefact([*_gains(results, known), *findings], [table, *by_student])


def _gains(results: Results, known: FindPublished) -> list[str]:
    """MIMKD against the plain student over all pairs, here and in the paper."""
    pairs = results.experiment.pairs
    measured = [
        found.mean
        for pair in pairs
        if (found := results.difference("mimkd", "plain", pair)) is not None
    ]
    if not measured:
        return []
    in_paper = [
        ours.mean - plain.mean
        for pair in pairs
        if (ours := known(pair, "mimkd")) and (plain := known(pair, "plain"))
    ]
    beside = f"; in the paper in {_gains_text(in_paper)}" if in_paper else ""
    return [f"MIMKD is above the plain student in {_gains_text(measured)}{beside}."]


def _gains_text(gains: Sequence[float]) -> str:
    above = sum(gain > 0 for gain in gains)
    return f"{above} of {len(gains)} pairs, by {fmean(gains):+.2f} points on average"
