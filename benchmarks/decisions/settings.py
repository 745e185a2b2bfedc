"""The settings of a recorded table: the published one, half of the rest around it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import qmc

from search_spaces import Setting, Space

SPREAD = 0.25  # standard deviation around the published value, of a range's length
CHANGED = 0.3  # share of options around the published setting that are others than published


def settings_of(space: Space, number: int) -> list[Setting]:
    """The published setting, then by turns one spread evenly and one near the published one.

    The same for every call; the first ones of a larger `number` are those of a smaller one.
    """
    published = space.published()
    points = qmc.Sobol(len(space.searched), seed=0).random(1 << (number - 1).bit_length())
    drawn = (
        space.suggest(_Point(iter(point), published if place % 2 else None))
        for place, point in enumerate(points.tolist())
    )
    return [published, *drawn][:number]


class _Point:
    """Stands for an Optuna trial: its values are the coordinates of a point, in [0, 1)."""

    def __init__(self, coordinates: Iterator[float], around: Setting | None) -> None:
        self._coordinates, self._around = coordinates, around

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        scale, inverse = (np.log, np.exp) if log else (float, float)
        start, length = scale(low), scale(high) - scale(low)
        place = next(self._coordinates)
        published = None if self._around is None else self._around[name]
        if published is not None:
            place = _near((scale(published) - start) / length, place)
        return float(min(max(inverse(start + place * length), low), high))

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        return round(self.suggest_float(name, low, high, log=log))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        place = next(self._coordinates)
        if self._around is None or self._around[name] not in choices:
            return choices[int(place * len(choices))]
        published = self._around[name]
        others = [choice for choice in choices if choice != published]
        if place >= CHANGED or not others:
            return published
        return others[int(place / CHANGED * len(others))]


def _near(center: float, place: float) -> float:
    """The quantile `place` of a normal distribution around `center`, truncated to [0, 1]."""
    low, high = ndtr(-center / SPREAD), ndtr((1 - center) / SPREAD)
    return float(center + SPREAD * ndtri(low + place * (high - low)))
