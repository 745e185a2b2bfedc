"""What an experiment of a paper consists of: pairs of networks, the settings compared, an artefact.

The declarations are data. What is trained, resumed, found again and written follows from them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from models import short_name
from tuner.config.options import ReproduceRequest
from tuner.config.workload import Workload
from tuner.planning.fixed import FixedTask
from tuner.reports.document import Facts, Figure, Table, Text
from tuner.storage.folder import Storage

if TYPE_CHECKING:
    from tuner.reproductions.results import Results

Part = Table | Figure | Text | Facts


@dataclass(frozen=True)
class Pair:
    """Who teaches whom."""

    teacher: str
    student: str
    # The teacher's weights, as behind @; "": trained here. The same pair, wherever they are from.
    checkpoint: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.teacher} → {self.student}"

    @property
    def folder(self) -> str:
        """What its folder is called."""
        return f"{short_name(self.teacher)}-{short_name(self.student)}"


@dataclass(frozen=True)
class Variant:
    """One of the settings that are compared."""

    label: str  # unique in its experiment: a row of the table, a point of the figure
    method: str
    # What differs from the published setting of the method.
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Artefact:
    """What came of an experiment: words, then tables and figures."""

    findings: Sequence[str]
    parts: Sequence[Part]


@dataclass(frozen=True)
class Experiment:
    """One table or figure of a paper."""

    name: str
    title: str  # what it shows, and where it is in the paper
    pairs: tuple[Pair, ...]
    artefact: Callable[["Results"], Artefact]
    arms: tuple[Variant, ...] = ()  # none: nothing is trained
    data: str = "cifar100"
    seeds: int = 3
    # Hyperparameters of a method that are published for one pair, in the place of the others.
    recipes: Mapping[tuple[Pair, str], Mapping[str, str]] = field(default_factory=dict)
    # What this reproduction assumes beside what the published values' file says.
    assumed: tuple[str, ...] = ()
    needs_weights: bool = False  # whether the artefact is made of the trained students
    options: tuple[str, ...] = ()  # of the request, that not every experiment reads
    # Raises RequestError for what cannot be done, before anything is trained.
    check: Callable[["Reproduction"], None] | None = None


@dataclass(frozen=True)
class Reproduction:
    """An experiment, as it is asked for."""

    name: str
    request: ReproduceRequest
    experiment: Experiment  # with the pairs and the arms that are asked for
    workloads: tuple[Workload, ...]  # one for each pair
    tasks: tuple[FixedTask, ...]  # likewise; none where nothing is trained
    labels: tuple[str, ...]  # how it differs from the paper's
    left_out: tuple[str, ...] = ()  # what does not fit a pair of networks, and why

    @property
    def runs(self) -> Storage:
        return Storage(self.request.runs_dir)

    @property
    def storage(self) -> Storage:
        """Its own folder, with a folder for each pair in it."""
        return self.runs.sub(self.name)

    @property
    def seeds(self) -> int:
        return self.request.seeds or self.experiment.seeds
