"""Finds the loss class of a method: a built-in one, or one in the user's file."""

from pathlib import Path

import models
from losses import LOSSES, DistillationLoss
from models.custom.source_file import source_digest
from search_spaces import Space, load_space
from search_spaces.wording import suggestion
from tuner.config.workload import Workload
from tuner.text.errors import RequestError


def loss_class_of(space: Space, place: str) -> type[DistillationLoss]:
    """The loss class that a space belongs to; `place`: the name or file of the space.

    Raises RequestError for an unknown method, and for a file's LOSS that is not a
    DistillationLoss or has the name of a built-in method.
    """
    if space.loss is None:
        if space.method in LOSSES:
            return LOSSES[space.method]
        raise RequestError(
            f"{place}: unknown method {space.method!r}{suggestion(space.method, LOSSES)} "
            f"known: {', '.join(LOSSES)}; or define LOSS beside SPACE in a Python file"
        )
    if not issubclass(space.loss, DistillationLoss):
        raise RequestError(
            f"{place}: LOSS is {space.loss.__name__}; derive it from losses.DistillationLoss"
        )
    if space.method in LOSSES:
        raise RequestError(
            f"{place}: {space.method!r} is a built-in method; give your LOSS another method name"
        )
    return space.loss


def source_digests(workload: Workload, space: str) -> list[str]:
    """Hashes of the user's files that results depend on, and the names of built-in networks.

    `space`: a name or a file; "" if all methods are built in.
    """
    networks = [models.identity(workload.teacher), models.identity(workload.student)]
    is_custom = bool(space) and load_space(space).loss is not None
    return networks + ([source_digest(Path(space))] if is_custom else [])


def method_named(name: str, space: str) -> type[DistillationLoss]:
    """The loss class of a training; `space`: the name or file of its search's space."""
    return LOSSES[name] if name in LOSSES else loss_class_of(load_space(space), space)
