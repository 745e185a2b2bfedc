"""Interleaved timing: what slows the machine down hits all candidates of a round alike."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple


class Spread(NamedTuple):
    """Of a few measurements; too few for a mean and a deviation."""

    min: float
    median: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(min(values), statistics.median(values), max(values))


@dataclass(frozen=True)
class Row:
    """One candidate's measurements, a value a round, and their ratios to the baseline's."""

    labels: dict[str, str]  # what was measured: pair, method, ...
    name: str  # of the candidate
    unit: str  # "seconds" or "bytes"
    values: tuple[float, ...]
    baseline: str  # the candidate that the ratios are against
    ratios: tuple[float, ...]  # each within one round

    def as_dict(self) -> dict[str, Any]:
        """For JSON; with every round, so that other ratios can be had later."""
        return {
            **self.labels,
            "name": self.name,
            f"{self.unit}": Spread.of(self.values)._asdict(),
            "baseline": self.baseline,
            "ratio": Spread.of(self.ratios)._asdict(),
            "rounds": list(self.values),
        }


def measure(
    candidates: Mapping[str, Callable[[], object]], *, rounds: int, warmup_rounds: int = 1
) -> dict[str, list[float]]:
    """Calls each candidate once a round; returns each one's seconds, a number a round.

    Warm-up rounds come first and are not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    for number in range(-warmup_rounds, rounds):
        # There and back: nobody always runs on the caches that the same other one left.
        for name in names if number % 2 else reversed(names):
            begin = time.perf_counter()
            candidates[name]()
            elapsed = time.perf_counter() - begin
            if number >= 0:
                seconds[name].append(elapsed)
    return seconds


def compare(
    measured: Mapping[str, Sequence[float]],
    name: str,
    baseline: str,
    labels: Mapping[str, str],
    unit: str = "seconds",
) -> Row:
    """One candidate against another, round by round."""
    ratios = (value / base for value, base in zip(measured[name], measured[baseline], strict=True))
    return Row(dict(labels), name, unit, tuple(measured[name]), baseline, tuple(ratios))


def compare_all(
    measured: Mapping[str, Sequence[float]],
    baseline: str,
    labels: Mapping[str, str],
    unit: str = "seconds",
) -> list[Row]:
    """Every candidate against one of them, itself included."""
    return [compare(measured, name, baseline, labels, unit) for name in measured]
