"""The method of a name: one of ours, or one of a person's own file."""

from pathlib import Path

import models
from losses import LOSSES, DistillationLoss
from models.custom.source_file import source_digest
from search_spaces import Space, load_space
from search_spaces.parameters import suggestion
from tuner.config.workload import Workload
from tuner.text.errors import RequestError


def loss_class_of(space: Space, place: str) -> type[DistillationLoss]:
    """The loss that a space is for; `place` is where the space comes from.

    Raises RequestError for an unknown method, and for a file's loss that is none or that
    takes the name of one of ours.
    """
    if space.loss is None:
        if space.method in LOSSES:
            return LOSSES[space.method]
        raise RequestError(
            f"{place}: unknown method {space.method!r}{suggestion(space.method, LOSSES)} "
            f"known: {', '.join(LOSSES)}; or define LOSS in a Python file beside its SPACE"
        )
    if not issubclass(space.loss, DistillationLoss):
        raise RequestError(
            f"{place}: LOSS is {space.loss.__name__}; derive it from losses.DistillationLoss"
        )
    if space.method in LOSSES:
        raise RequestError(
            f"{place}: {space.method} is a method of ours; give your own LOSS another method name"
        )
    return space.loss


def source_digests(workload: Workload, space: str) -> list[str]:
    """What the results of a search depend on beside this package: a person's own files.

    `space`: a name or a file; "" where all methods are ours.
    """
    networks = [models.identity(workload.teacher), models.identity(workload.student)]
    own = bool(space) and load_space(space).loss is not None
    return networks + ([source_digest(Path(space))] if own else [])


def method_named(name: str, space: str) -> type[DistillationLoss]:
    """The method of a training, whose search has this space (a name or a file)."""
    return LOSSES[name] if name in LOSSES else loss_class_of(load_space(space), space)
