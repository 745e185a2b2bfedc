"""Declares a paper's experiment: pairs of networks and the variants compared. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models import short_name


@dataclass(frozen=True)
class Pair:
    """A teacher and its student."""

    teacher: str
    student: str
    # The teacher's weights, as after @; "": trained here. Pairs that differ only here are equal.
    checkpoint: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.teacher} → {self.student}"

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return f"{short_name(self.teacher)}-{short_name(self.student)}"


@dataclass(frozen=True)
class Variant:
    """One of the settings compared: a row of a table, a point of a figure."""

    label: str  # unique within its experiment
    method: str
    # Hyperparameters that differ from the published setting of the method.
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """One table or figure of a paper."""

    name: str
    title: str  # what it shows and where it is in the paper
    pairs: tuple[Pair, ...]
    variants: tuple[Variant, ...] = ()  # none: nothing is trained
    data: str = "cifar100"
    seeds: int = 3
    # Hyperparameters of a method published for one pair; they replace the method's usual ones.
    pair_settings: Mapping[tuple[Pair, str], Mapping[str, str]] = field(default_factory=dict)
    # Assumptions of this reproduction, beside those in published.yaml.
    assumed: tuple[str, ...] = ()
    needs_weights: bool = False  # whether the artefact needs the trained students themselves
    options: tuple[str, ...] = ()  # of the request; experiments that do not list them refuse them
