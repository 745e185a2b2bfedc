"""A search space: what a search may vary, its grid, and the published setting.

One declaration, from which come the grid, Optuna's define-by-run function, the table of
`--dry-run` and the axes of a report. A setting is a plain dict with every name of the
space in the order of declaration; what does not apply in it is None.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from search_spaces.parameters import (
    Choice,
    Conditions,
    Epochs,
    Fixed,
    Float,
    Int,
    Parameter,
    Setting,
    SpaceError,
    Trial,
    Value,
)
from search_spaces.wording import list_of, suggestion, text_of

__all__ = ["Choice", "Epochs", "Fixed", "Float", "Int", "Setting", "Space", "SpaceError", "Value"]


@dataclass(frozen=True)
class Space:
    """The hyperparameters of `method`, a name in LOSSES.

    A parameter's conditions may only name parameters before it. `source` says where the
    published values come from. Raises SpaceError for a declaration that makes no sense.
    """

    method: str
    params: tuple[Parameter, ...]
    source: str = ""
    # The space as its author wrote it, if this one was narrowed by a person.
    declared: "Space | None" = field(default=None, repr=False)
    # The loss that a person's own file defines for a method of its own.
    loss: type | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A folder is named after it where methods are compared.
        if not isinstance(self.method, str) or not re.fullmatch(r"\w[\w.+-]{0,49}", self.method):
            raise SpaceError(
                f"the method is {self.method!r}; give its name, in letters, digits, - and _"
            )
        if not isinstance(self.source, str):
            raise SpaceError(f"{self.method}: the source is {self.source!r}; give a text")
        object.__setattr__(self, "params", tuple(self.params))
        seen: dict[str, Parameter] = {}
        for parameter in self.params:
            if not isinstance(parameter, Parameter):
                raise SpaceError(
                    f"{self.method}: {parameter!r} is no hyperparameter; give Float, Int, Choice,"
                    " Fixed or Epochs (and * before common())"
                )
            if parameter.name in seen:
                raise SpaceError(
                    f"{self.method}: {parameter.name} is declared twice; remove one of them"
                )
            for name, value in (parameter.when or {}).items():
                if name not in seen:
                    raise SpaceError(
                        f"{self.method}: {parameter.name} depends on {name!r}, which is not"
                        " declared before it; declare it earlier or correct the name"
                    )
                # A pin may rule a condition out, its author's space may not.
                if self.declared is None:
                    seen[name].check(value)
            seen[parameter.name] = parameter

    def published(self) -> Setting:
        """The published setting; where a person pinned or narrowed, the nearest to it."""
        return self._setting(lambda parameter: parameter.published)

    def grid(self) -> list[Setting]:
        """Every combination of the grid's values, once, the last parameter varying fastest."""
        settings: list[Setting] = [{}]
        for parameter in self.params:
            settings = [
                {**setting, parameter.name: value}
                for setting in settings
                for value in (_grid_of(parameter) if _hold(parameter.when, setting) else (None,))
            ]
        return settings

    def suggest(self, trial: Trial) -> Setting:
        """A setting drawn by an Optuna trial, which is asked only for what applies."""
        return self._setting(lambda parameter: parameter.suggest(trial))

    def complete(self, partial: Mapping[str, Value]) -> Setting:
        """The full setting of one that a person wrote; what is left out is as published.

        Raises SpaceError for an unknown name, a wrong type, a value out of range, and a
        value for something that does not apply.
        """
        for name in partial:
            self._parameter(name)
        setting = self._setting(
            lambda parameter: (
                parameter.check(partial[parameter.name])
                if parameter.name in partial
                else parameter.published
            )
        )
        for parameter in self.params:
            value = partial.get(parameter.name)
            if value is not None and not _hold(parameter.when, setting):
                raise SpaceError(
                    f"{self.method}: {parameter.name} is {text_of(value)} but applies only when"
                    f" {_conditions_text(parameter.when)}; leave it out"
                )
        return setting

    def applicable(self, values: Mapping[str, Value]) -> Setting:
        """The setting with these values, of which those that do not apply become None."""
        return self._setting(lambda parameter: values[parameter.name])

    def own_pins(self, pins: Mapping[str, str]) -> dict[str, str]:
        """Of pins for several methods, those of this one: METHOD.NAME wins over NAME."""
        names = {parameter.name for parameter in self.params}
        shared = {name: value for name, value in pins.items() if name in names}
        prefix = f"{self.method}."
        own = {
            name.removeprefix(prefix): value
            for name, value in pins.items()
            if name.startswith(prefix)
        }
        return shared | own

    def narrow(self, assignments: Mapping[str, str]) -> "Space":
        """The space with NAME=VALUE pinned and NAME=LOW:HIGH searched over that range.

        Values may leave the declared range: `excludes_published` tells. Raises SpaceError
        for an unknown name or option, an empty or reversed range, something that is not
        of the type, and a pin without effect.
        """
        for name in assignments:
            self._parameter(name)
        params = tuple(
            parameter.narrow(assignments[parameter.name])
            if parameter.name in assignments
            else parameter
            for parameter in self.params
        )
        space = replace(self, params=params, declared=self.declared or self)
        for name in assignments:
            space._refuse_if_without_effect(name)
        return space

    def for_epochs(self, num_epochs: int) -> "Space":
        """The space of a training of so many epochs: those of the published one in proportion."""
        params = tuple(
            parameter.for_epochs(num_epochs) if isinstance(parameter, Epochs) else parameter
            for parameter in self.params
        )
        return replace(self, params=params)

    def excludes_published(self) -> tuple[str, ...]:
        """Names whose pin or narrowed range leaves the published value out."""
        published = (self.declared or self).published()
        return tuple(
            parameter.name
            for parameter in self.params
            if _hold(parameter.when, published)
            and not parameter.contains(published[parameter.name])
        )

    def table(self) -> list[dict[str, str]]:
        """Rows of text for a person: name, range, scale, grid, published, when."""
        return [
            {
                "name": parameter.name,
                "range": parameter.range_text,
                "scale": parameter.scale,
                "grid": list_of(_grid_of(parameter)),
                "published": text_of(parameter.published),
                "when": _conditions_text(parameter.when),
            }
            for parameter in self.params
        ]

    def _setting(self, value_of: Callable[[Parameter], Value]) -> Setting:
        setting: Setting = {}
        for parameter in self.params:
            applies = _hold(parameter.when, setting)
            setting[parameter.name] = value_of(parameter) if applies else None
        return setting

    def _parameter(self, name: str) -> Parameter:
        for parameter in self.params:
            if parameter.name == name:
                return parameter
        names = [parameter.name for parameter in self.params]
        raise SpaceError(
            f"{self.method} has no hyperparameter {name!r}{suggestion(name, names)}"
            f" known: {list_of(names) or 'none'}"
        )

    def _refuse_if_without_effect(self, name: str) -> None:
        for other, wanted in (self._parameter(name).when or {}).items():
            condition = self._parameter(other)
            if isinstance(condition, Fixed) and condition.published != wanted:
                raise SpaceError(
                    f"{self.method}: setting {name} has no effect, it applies only when {other}"
                    f" is {text_of(wanted)} and {other} is {text_of(condition.published)};"
                    f" set {other}={text_of(wanted)} too, or leave {name} out"
                )


def _hold(conditions: Conditions | None, setting: Mapping[str, Value]) -> bool:
    return all(setting[name] == value for name, value in (conditions or {}).items())


def _grid_of(parameter: Parameter) -> tuple[Value, ...]:
    assert parameter.grid is not None  # filled in when the parameter was built
    return parameter.grid


def _conditions_text(conditions: Conditions | None) -> str:
    return " and ".join(f"{name} is {text_of(value)}" for name, value in (conditions or {}).items())
