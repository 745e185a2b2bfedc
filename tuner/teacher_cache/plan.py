"""Which teacher outputs are cached on disk, shared in memory, or computed live."""

from dataclasses import dataclass
from typing import Any, Literal

CachePrecision = Literal["float16", "float32"]
Source = Literal["cached", "shared", "live"]


@dataclass(frozen=True)
class CachedOutput:
    """An output that is cached on disk, for as many augmented epochs as fit."""

    name: str
    search_epochs: int  # augmented epochs with the search's own seed
    final_epochs: int  # augmented epochs with each seed of the final trainings


@dataclass(frozen=True)
class OutputsPlan:
    """Decided once, when a search starts, and recorded: a resumed search keeps its plan.

    Every trial computes for itself what is neither cached nor shared.
    """

    cached: tuple[CachedOutput, ...] = ()
    shared: tuple[str, ...] = ()
    precision: CachePrecision = "float16"  # of cached outputs; shared ones are not rounded
    buffer_bytes: int = 0  # size of the shared buffer; 0: there is none
    look_ahead: int = 1  # batches computed ahead: the number of trials that share the work

    def source(self, names: tuple[str, ...], augmented_epoch: int, *, final: bool) -> Source:
        """Where a training that needs these outputs gets them from.

        If one of them is not cached the teacher has to run, which yields all of them.
        """
        cached = {
            output.name
            for output in self.cached
            if augmented_epoch <= (output.final_epochs if final else output.search_epochs)
        }
        if cached.issuperset(names):
            return "cached"
        known = {*self.shared, *(output.name for output in self.cached)}
        return "shared" if self.buffer_bytes and known.issuperset(names) else "live"

    def as_json(self) -> dict[str, Any]:
        """The plan as the journal of a search holds it; the keys are those of its first version."""
        return {
            "cached": [
                {
                    "name": output.name,
                    "search_passes": output.search_epochs,
                    "final_passes": output.final_epochs,
                }
                for output in self.cached
            ],
            "shared": self.shared,
            "precision": self.precision,
            "window_bytes": self.buffer_bytes,
            "look_ahead": self.look_ahead,
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "OutputsPlan":
        """The inverse of `as_json`."""
        return cls(
            cached=tuple(
                CachedOutput(output["name"], output["search_passes"], output["final_passes"])
                for output in content["cached"]
            ),
            shared=tuple(content["shared"]),
            precision=content["precision"],
            buffer_bytes=content["window_bytes"],
            look_ahead=content["look_ahead"],
        )


LIVE = OutputsPlan()
