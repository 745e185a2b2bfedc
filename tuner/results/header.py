"""What all trainings of a search share: the first line of its journal."""

from dataclasses import asdict, dataclass
from typing import Any

from tuner.config.step_mode import StepMode
from tuner.results.trial import FINAL, SEARCH
from tuner.teacher_cache import OutputsPlan


@dataclass(frozen=True)
class Header:
    """Decided once, when a search begins; a resumed search keeps it."""

    id: str  # unique; MLflow finds the search's runs by it
    task: str  # identity of what is trained: a hash of the space, or of the fixed trainings
    data: str  # fingerprint
    teacher: str | None  # digest of its weights; None until it has been trained here
    code: tuple[str, ...]  # digests of the user's own networks and method
    ask_in_batches: int | None  # settings asked for together; None: one at a time
    fixed_trainings: int | None  # how many; None where settings are searched for
    outputs: OutputsPlan
    step_mode: StepMode
    reasons: tuple[str, ...]  # for both, one sentence each
    time: float  # seconds since 1970

    @property
    def role(self) -> str:
        """The role of the trainings that the user asked for: "search" or "final"."""
        return SEARCH if self.fixed_trainings is None else FINAL

    def as_event(self) -> dict[str, Any]:
        """The line of the journal."""
        return {
            "event": "open",
            "id": self.id,
            "space": self.task,
            "data": self.data,
            "teacher": self.teacher,
            "code": list(self.code),
            "batch": self.ask_in_batches,
            "trainings": self.fixed_trainings,
            "outputs": self.outputs.as_json(),
            "execution": asdict(self.step_mode),
            "reasons": list(self.reasons),
            "time": self.time,
        }

    @classmethod
    def from_event(cls, event: dict[str, Any]) -> "Header":
        """Reads what `as_event` returned. Raises KeyError or TypeError for anything else."""
        return cls(
            id=event["id"],
            task=event["space"],
            data=event["data"],
            teacher=event["teacher"],
            code=tuple(event["code"]),
            ask_in_batches=event["batch"],
            fixed_trainings=event["trainings"],
            outputs=OutputsPlan.from_json(event["outputs"]),
            step_mode=StepMode(**event["execution"]),
            reasons=tuple(event["reasons"]),
            time=event["time"],
        )
