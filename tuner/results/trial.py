"""One training and its state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from search_spaces import Setting

RUNNING, DONE, STOPPED, FAILED = "running", "done", "stopped early", "failed"
TEACHER, SEARCH, FINAL = "teacher", "search", "final"  # roles; the first is also a name
TUNED, PUBLISHED, PLAIN = "tuned", "published", "plain"  # labels of a search's settings
DIVERGED = "diverged"  # begins the reason of a trial whose loss was not finite
COOLDOWN_ACCURACY = "cooldown_accuracy"  # of the validation split, in epochs with a cooldown
# What these fields of a trial are called in journals and tables.
STORED_AS = {"name": "trial", "role": "kind", "setting_label": "label"}


@dataclass
class Trial:
    """One training: a trial of the search, one of the final trainings, or the teacher's."""

    name: str  # "0000", "0001", ...; "tuned-1", "published-2"; "teacher"
    role: str  # "search", "final" or "teacher"
    setting_label: str  # "published", "tuned", "plain", ... or "" for what the sampler chose
    method: str
    setting: Setting
    seed: int
    num_epochs: int  # planned
    started: float  # seconds since 1970
    status: str = RUNNING
    reason: str = ""  # why it failed or was stopped
    ended: float | None = None
    epochs: list[dict[str, float]] = field(default_factory=list)
    # Of the method's stage before the student's first epoch, where it has one.
    initial_epochs: list[dict[str, float]] = field(default_factory=list)

    @property
    def is_full_length(self) -> bool:
        """Whether it ran to its last epoch: only such trials are ranked against each other."""
        return self.status == DONE and len(self.epochs) >= self.num_epochs

    @property
    def seconds(self) -> float:
        """How long it has trained, its initial stage included."""
        initial = sum(epoch["initial_seconds"] for epoch in self.initial_epochs)
        return initial + sum(epoch.get("seconds", 0.0) for epoch in self.epochs)

    @property
    def has_diverged(self) -> bool:
        """Whether it failed because of its setting: a loss was not finite."""
        return self.status == FAILED and self.reason.startswith(DIVERGED)

    def last(self, metric: str) -> float | None:
        """The metric at the last reported epoch."""
        return self.epochs[-1].get(metric) if self.epochs else None


def varied_names(settings: Sequence[Mapping[str, object]]) -> list[str]:
    """Hyperparameters that are not equal in all settings, in order of first appearance.

    None and absent are equal.
    """
    names = dict.fromkeys(name for setting in settings for name in setting)
    return [name for name in names if len({setting.get(name) for setting in settings}) > 1]
