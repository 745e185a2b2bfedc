"""Decides for each teacher output whether it is cached, shared or computed live, and says why.

It decides from the sizes of the outputs, the budget, and speeds measured on this machine.
"""

from dataclasses import dataclass

from rich.filesize import decimal

from models import Shapes
from tuner.teacher_cache.plan import CachedOutput, CachePrecision, OutputsPlan
from tuner.teacher_cache.probing import Capacity, Speeds
from tuner.teacher_cache.sizes import bytes_per_image

WORTH_IT = 0.5  # reading must take at most this share of the teacher's own time
MIN_BUFFER_BATCHES = 4  # per trial


@dataclass(frozen=True)
class TeacherLoad:
    """What the trainings of a search need from the teacher."""

    needs: tuple[tuple[str, ...], ...]  # each combination of outputs that some setting needs
    num_images: int  # per augmented epoch
    num_epochs: int  # different augmented epochs of each training
    num_seeds: int  # of the final trainings; each seed has its own augmented epochs
    has_trials: bool  # trials share one seed, and so their augmented epochs
    batch_size: int
    max_concurrent: int


@dataclass(frozen=True)
class _Fit:
    """How much of a group of outputs the cache can hold."""

    search_epochs: int
    final_epochs: int
    num_bytes: int
    all_bytes: int  # that all augmented epochs would take
    reading: float  # time to read them, as a share of the teacher's own time

    @property
    def is_worth_it(self) -> bool:
        return self.reading <= WORTH_IT and self.search_epochs + self.final_epochs > 0

    @property
    def is_partial(self) -> bool:
        return self.num_bytes < self.all_bytes


def plan_outputs(
    load: TeacherLoad,
    shapes: Shapes,
    precision: CachePrecision,
    speeds: Speeds,
    capacity: Capacity,
) -> tuple[OutputsPlan, tuple[str, ...]]:
    """The plan, and one line per group of outputs: what is done with it, and why."""
    planned: dict[str, None] = {}
    cached: list[CachedOutput] = []
    shared: list[str] = []
    needs_buffer = False
    reasons = []
    left = capacity.budget
    # Small groups first: losses that need a map often need these too, but not vice versa.
    for needs in sorted(load.needs, key=lambda names: bytes_per_image(shapes, names, precision)):
        names = tuple(name for name in needs if name not in planned)
        if not names:
            continue
        planned |= dict.fromkeys(names)
        image_bytes = bytes_per_image(shapes, names, precision)
        fit = _fit(load, image_bytes, left, speeds, capacity)
        can_share = _can_share(load, bytes_per_image(shapes, needs, "float32"), speeds, capacity)
        if fit.is_worth_it:
            cached += [CachedOutput(name, fit.search_epochs, fit.final_epochs) for name in names]
            why = (
                f"cached in {precision}, {_size_text(fit, load, can_share)}, because "
                f"reading {decimal(image_bytes)} per image takes {_percent(fit.reading)} "
                "of the teacher's time"
            )
            left -= fit.num_bytes
            needs_buffer |= fit.is_partial and can_share
        else:
            source = "shared by trials that run at the same time" if can_share else "live"
            why = f"{source}; {_why_not_cached(fit, image_bytes, left, load)}"
            shared += names if can_share else ()
            needs_buffer |= can_share
        reasons.append(f"{', '.join(names)}: {why}")
    plan = OutputsPlan(
        tuple(cached),
        tuple(shared),
        precision,
        buffer_bytes=capacity.buffer if needs_buffer else 0,
        look_ahead=load.max_concurrent if needs_buffer else 1,
    )
    return plan, tuple(reasons)


def _fit(
    load: TeacherLoad, image_bytes: int, left: int, speeds: Speeds, capacity: Capacity
) -> _Fit:
    """As many augmented epochs of the search as fit into `left` bytes, then of final trainings."""
    epoch_bytes = image_bytes * load.num_images
    search_epochs = min(load.num_epochs, left // epoch_bytes) if load.has_trials else 0
    left_for_finals = left - search_epochs * epoch_bytes
    final_epochs = min(load.num_epochs, left_for_finals // (epoch_bytes * max(1, load.num_seeds)))
    num_bytes = epoch_bytes * (search_epochs + final_epochs * load.num_seeds)
    bytes_per_second = (
        speeds.memory_bytes if num_bytes < capacity.free_memory else speeds.disk_bytes
    )
    return _Fit(
        search_epochs,
        final_epochs,
        num_bytes,
        all_bytes=epoch_bytes * load.num_epochs * (load.has_trials + load.num_seeds),
        reading=image_bytes / bytes_per_second / speeds.teacher_seconds,
    )


def _can_share(load: TeacherLoad, image_bytes: int, speeds: Speeds, capacity: Capacity) -> bool:
    """Whether passing an image's outputs on is faster than computing them, and they fit."""
    batch_bytes = image_bytes * load.batch_size
    seconds = 2 * image_bytes / speeds.memory_bytes  # one trial writes them, the others read
    return (
        load.max_concurrent > 1
        and seconds <= WORTH_IT * speeds.teacher_seconds
        and MIN_BUFFER_BATCHES * load.max_concurrent * batch_bytes <= capacity.buffer
    )


def _size_text(fit: _Fit, load: TeacherLoad, can_share: bool) -> str:
    if not fit.is_partial:
        return f"{decimal(fit.num_bytes)} in all"
    of_search = f"{fit.search_epochs} of {load.num_epochs} augmented epochs of the search and "
    return (
        f"{of_search if load.has_trials else ''}{fit.final_epochs} of each "
        f"{'final seed' if load.has_trials else 'seed'}, {decimal(fit.num_bytes)} "
        f"(all would take {decimal(fit.all_bytes)}), "
        f"the others {'shared' if can_share else 'live'}"
    )


def _why_not_cached(fit: _Fit, image_bytes: int, left: int, load: TeacherLoad) -> str:
    if fit.reading > WORTH_IT:
        return (
            f"reading {decimal(image_bytes)} per image would take {_percent(fit.reading)} "
            "of the teacher's time"
        )
    return (
        f"an augmented epoch takes {decimal(image_bytes * load.num_images)}, "
        f"the cache may grow by {decimal(left)}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
