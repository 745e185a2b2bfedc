"""Finds the teacher outputs that a search space needs; checks that its method fits all of it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import torch

from losses import LossError, Objective
from search_spaces import Choice, Float, Setting, Space
from search_spaces.parameters import Parameter, Value
from tuner.planning.task import Needs, needs_of
from tuner.text.errors import RequestError

Build = Callable[[Setting], Objective]  # raises LossError where the setting does not fit


def needs_of_space(space: Space, published: Setting, build: Build, *, is_grid: bool) -> Needs:
    """Returns every combination of outputs that some setting of the space reads.

    Raises RequestError if the method fits only part of the space.
    """
    first = space.published()
    needs: dict[tuple[str, ...], None] = {}
    try:
        for setting in (published, first):
            needs |= needs_of(build(setting))
        # At the low end a weight may be 0 and need fewer outputs; only a grid tries it.
        for setting in _varied(space, first, _ends):
            build(setting)
    except LossError as error:
        raise RequestError(str(error)) from error
    for setting in _varied(space, first, lambda p: _values(p, is_grid)):
        with suppress(LossError):  # an option may not fit: its trials fail
            needs |= needs_of(build(setting))
    return tuple(needs)


def check_population(space: Space, build: Build) -> None:
    """Raises RequestError if a searched hyperparameter changes the shapes of the loss's weights.

    In a population a trial continues with the weights of another, the loss's included.
    """

    def shapes_with(setting: Setting) -> dict[str, torch.Size]:
        return {name: tensor.shape for name, tensor in build(setting).state_dict().items()}

    first = space.published()
    expected = shapes_with(first)
    for parameter in space.params:
        # Not the low end of a weight: a loss may have no weights at 0, which no trial uses.
        values = (parameter.high,) if isinstance(parameter, Float) else _values(parameter, False)
        for value in values:
            with suppress(LossError):  # its trials fail, as in any search
                if shapes_with(space.applicable(first | {parameter.name: value})) != expected:
                    raise RequestError(
                        f"pbt hands weights from trial to trial, but {parameter.name} changes "
                        f"their shapes in {space.method}; pin it, as with --set "
                        f"{parameter.name}={first[parameter.name]}, or choose another --scheduler"
                    )


def _varied(
    space: Space, setting: Setting, values: Callable[[Parameter], Iterable[Value]]
) -> Iterator[Setting]:
    """The setting with one of its hyperparameters changed, for each of the values."""
    for parameter in space.params:
        for value in values(parameter):
            yield space.applicable(setting | {parameter.name: value})


def _ends(parameter: Parameter) -> tuple[Value, ...]:
    return (parameter.low, parameter.high) if isinstance(parameter, Float) else ()


def _values(parameter: Parameter, is_grid: bool) -> tuple[Value, ...]:
    """The values at which a loss may need other outputs or weights than elsewhere."""
    if isinstance(parameter, Choice):
        return parameter.options
    return parameter.grid if is_grid and isinstance(parameter, Float) else ()
