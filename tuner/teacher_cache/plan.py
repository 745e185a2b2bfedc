"""Which of a teacher's outputs are kept on disk, which are shared in memory, which are live."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

CachePrecision = Literal["float16", "float32"]


@dataclass(frozen=True)
class CachedOutput:
    """An output that is kept on disk, for as many passes over the data as fit."""

    name: str
    search_passes: int  # with the search's own seed
    final_passes: int  # with each seed of the final trainings


@dataclass(frozen=True)
class OutputsPlan:
    """Decided once, when a search begins, and part of its record: a resumed search keeps it.

    What is neither cached nor shared is computed live, by each trial for itself.
    """

    cached: tuple[CachedOutput, ...] = ()
    shared: tuple[str, ...] = ()
    precision: CachePrecision = "float16"  # of what is cached; what is shared is as it was computed
    window_bytes: int = 0  # of memory that shared outputs may take
    look_ahead: int = 1  # batches that are computed ahead: as many as trials share the work

    def road(self, names: tuple[str, ...], pass_number: int, *, final: bool) -> str:
        """How a training that needs these outputs gets them: "cached", "shared" or "live".

        One output that is not cached takes the whole teacher, which has the others for nothing.
        """
        cached = {
            output.name
            for output in self.cached
            if pass_number <= (output.final_passes if final else output.search_passes)
        }
        if cached.issuperset(names):
            return "cached"
        known = {*self.shared, *(output.name for output in self.cached)}
        return "shared" if self.window_bytes and known.issuperset(names) else "live"

    def as_json(self) -> dict[str, Any]:
        """For the record of a search."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "OutputsPlan":
        """What `as_json` returned."""
        cached = tuple(CachedOutput(**output) for output in content["cached"])
        return cls(**{**content, "cached": cached, "shared": tuple(content["shared"])})


LIVE = OutputsPlan()
