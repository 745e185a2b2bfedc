"""Decides, per output of the teacher, whether it is cached, shared or computed live, and says why.

From the outputs' sizes, the budget, and speeds measured on this machine.
"""

from dataclasses import dataclass

from rich.filesize import decimal

from models import Shapes
from tuner.teacher_cache.plan import CachedOutput, CachePrecision, OutputsPlan
from tuner.teacher_cache.probing import Capacity, Speeds
from tuner.teacher_cache.sizes import bytes_per_image

WORTH_IT = 0.5  # reading must take at most this share of the teacher's own time
MIN_WINDOW_BATCHES = 4


@dataclass(frozen=True)
class TeacherLoad:
    """What the trainings of a search will ask of the teacher."""

    needs: tuple[tuple[str, ...], ...]  # each combination of outputs that some setting needs
    num_images: int  # of a pass
    num_passes: int  # of each training
    num_seeds: int  # of the final trainings, each of which sees passes of its own
    has_trials: bool  # which see passes of one seed, all the same
    batch_size: int
    max_concurrent: int


def plan_outputs(
    demand: TeacherLoad, shapes: Shapes, precision: CachePrecision, speeds: Speeds, room: Capacity
) -> tuple[OutputsPlan, tuple[str, ...]]:
    """The plan, and a line for each group of outputs that says what is done with it and why."""
    planned: dict[str, None] = {}
    cached: list[CachedOutput] = []
    shared: list[str] = []
    has_window = False
    lines = []
    left = room.budget
    # Small ones first: who needs a map often needs them too, but not the other way round.
    for needs in sorted(demand.needs, key=lambda names: bytes_per_image(shapes, names, precision)):
        names = tuple(name for name in needs if name not in planned)
        if not names:
            continue
        planned |= dict.fromkeys(names)
        image_bytes = bytes_per_image(shapes, names, precision)
        pass_bytes = image_bytes * demand.num_images
        search_passes = min(demand.num_passes, left // pass_bytes) if demand.has_trials else 0
        final_passes = min(
            demand.num_passes,
            (left - search_passes * pass_bytes) // (pass_bytes * max(1, demand.num_seeds)),
        )
        kept_bytes = pass_bytes * (search_passes + final_passes * demand.num_seeds)
        all_bytes = pass_bytes * demand.num_passes * (demand.has_trials + demand.num_seeds)
        rate = speeds.memory_bytes if kept_bytes < room.free_memory else speeds.disk_bytes
        reading = image_bytes / rate / speeds.teacher_seconds
        if reading <= WORTH_IT and search_passes + final_passes > 0:
            cached += [CachedOutput(name, search_passes, final_passes) for name in names]
            left -= kept_bytes
            size = f"{decimal(kept_bytes)} in all"
            if kept_bytes < all_bytes:
                can_share = _can_share(
                    demand, bytes_per_image(shapes, needs, "float32"), speeds, room
                )
                has_window |= can_share
                of_search = f"{search_passes} of {demand.num_passes} passes of the search and "
                size = (
                    f"{of_search if demand.has_trials else ''}{final_passes} of each "
                    f"{'final seed' if demand.has_trials else 'seed'}, {decimal(kept_bytes)} "
                    f"(all would take {decimal(all_bytes)}), "
                    f"the others {'shared' if can_share else 'live'}"
                )
            lines.append(
                f"{', '.join(names)}: cached in {precision}, {size}, because reading "
                f"{decimal(image_bytes)} an image takes {_percent(reading)} of the teacher's time"
            )
            continue
        why = f"a pass takes {decimal(pass_bytes)}, the cache may take {decimal(left)} more"
        if reading > WORTH_IT:
            why = (
                f"reading {decimal(image_bytes)} an image would take {_percent(reading)} "
                "of the teacher's time"
            )
        if _can_share(demand, bytes_per_image(shapes, needs, "float32"), speeds, room):
            shared += names
            has_window = True
            lines.append(f"{', '.join(names)}: shared by trials that run at the same time; {why}")
        else:
            lines.append(f"{', '.join(names)}: live; {why}")
    plan = OutputsPlan(
        tuple(cached),
        tuple(shared),
        precision,
        window_bytes=room.window if has_window else 0,
        look_ahead=demand.max_concurrent if has_window else 1,
    )
    return plan, tuple(lines)


def _can_share(demand: TeacherLoad, image_bytes: int, speeds: Speeds, room: Capacity) -> bool:
    """Whether handing an image's outputs on is faster than computing them, and has room."""
    batch_bytes = image_bytes * demand.batch_size
    seconds = 2 * image_bytes / speeds.memory_bytes  # one trial writes them, the others read
    return (
        demand.max_concurrent > 1
        and seconds <= WORTH_IT * speeds.teacher_seconds
        and MIN_WINDOW_BATCHES * demand.max_concurrent * batch_bytes <= room.window
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
