"""A surrogate of full-length trainings: 240 epochs, with known truth over a real space.

Its noise is that of 42 public 240-epoch runs of the CRD recipe: one run wobbles by 1.56 points
before the first drop, and by 0.43, 0.14 and 0.11 after the drops.
"""

import numpy as np

from benchmarks.decisions.worlds import Curve, World, point_of
from search_spaces import Setting, Space

TOP = 76.0  # accuracy of the best setting, in percent
SEED_NOISE = 0.3  # standard deviation over seeds, in points
WOBBLE = (1.56, 0.43, 0.14, 0.11)  # before the first drop, after the first, ...
GAP = (14.0, 2.0, 0.5, 0.0)  # to the accuracy at the end, in the same phases
START, RISE_EPOCHS = 40.0, 20.0  # how much lower the first epochs are, and for how long
EARLY_MISMATCH = 0.5  # of an early accuracy without wobble, relative to the final one; shrinks


class Surrogate(World):
    """A quadratic truth over the space, whose best setting is not the published one."""

    num_epochs = 240
    drops = (150, 180, 210)

    def __init__(self, space: Space, *, published_regret: float, seed: int = 0) -> None:
        self.space = space
        draw = np.random.default_rng(seed)
        published = point_of(space, space.published())
        self._optimum = np.clip(
            published
            + draw.choice([-1, 1], len(published)) * draw.uniform(0.1, 0.4, len(published)),
            0.05,
            0.95,
        )
        steepness = draw.uniform(0.3, 1.0, len(published))
        at_published = (steepness * (published - self._optimum) ** 2).sum()
        self._steepness = steepness * published_regret / at_published

    def train(self, setting: Setting, draw: np.random.Generator) -> Curve:
        final = self.truth(setting) + draw.normal(0, SEED_NOISE)
        mismatch = draw.normal(0, EARLY_MISMATCH)
        epochs = np.arange(1, self.num_epochs + 1)
        left = 1 - epochs / self.num_epochs
        phases = np.searchsorted(self.drops, epochs, side="left")
        rising = np.where(phases == 0, START * np.exp(-epochs / RISE_EPOCHS), 0.0)
        level = np.array(GAP)[phases] + rising
        values = final - level + mismatch * left + draw.normal(0, np.array(WOBBLE)[phases])
        cooled = {}
        for epoch in range(6, self.drops[0], 6):
            # Each epoch at a dropped rate removes the wobble as a drop of the schedule does.
            noise = np.array([WOBBLE[1], WOBBLE[1], WOBBLE[2]])
            calm = final - level[epoch - 1] / 3 + mismatch * left[epoch - 1]
            cooled[epoch] = calm + draw.normal(0, noise)
        return Curve(values, cooled)

    def final_accuracy(self, setting: Setting, draw: np.random.Generator) -> float:
        return self.truth(setting) + draw.normal(0, SEED_NOISE)

    def truth(self, setting: Setting) -> float:
        distances = (point_of(self.space, setting) - self._optimum) ** 2
        return float(TOP - (self._steepness * distances).sum())

    @property
    def best(self) -> float:
        return TOP
