"""Search spaces: what a search varies, its grid, and the published setting.

The grid, Optuna's define-by-run function, the table of `--dry-run` and the axes of a report are
derived from one declaration. A setting is a plain dict with all names of the space in the order
of declaration; hyperparameters that do not apply are None.
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

    A parameter's conditions may only name parameters declared before it. `source` cites the
    published values. Raises SpaceError for an invalid declaration.
    """

    method: str
    params: tuple[Parameter, ...]
    source: str = ""
    # The space as its author declared it, if this one was narrowed by the user.
    declared: "Space | None" = field(default=None, repr=False)
    # The loss of the user's own method, defined in the same file.
    loss: type | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Comparisons name a folder after it.
        if not isinstance(self.method, str) or not re.fullmatch(r"\w[\w.+-]{0,49}", self.method):
            raise SpaceError(
                f"the method is {self.method!r}; give a name of letters, digits, - and _"
            )
        if not isinstance(self.source, str):
            raise SpaceError(f"{self.method}: the source is {self.source!r}; give a text")
        object.__setattr__(self, "params", tuple(self.params))
        seen: dict[str, Parameter] = {}
        for parameter in self.params:
            if not isinstance(parameter, Parameter):
                raise SpaceError(
                    f"{self.method}: {parameter!r} is not a hyperparameter; give Float, Int,"
                    " Choice, Fixed or Epochs (and * before common())"
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
                # A pin may make a condition impossible, the author's declaration may not.
                if self.declared is None:
                    seen[name].check(value)
            seen[parameter.name] = parameter

    def published(self) -> Setting:
        """The published setting, or the nearest one to it in a narrowed space."""
        return self._setting(lambda parameter: parameter.published)

    def grid(self) -> list[Setting]:
        """All combinations of the grid's values, the last parameter varying fastest."""
        settings: list[Setting] = [{}]
        for parameter in self.params:
            settings = [
                {**setting, parameter.name: value}
                for setting in settings
                for value in (_grid_of(parameter) if _hold(parameter.when, setting) else (None,))
            ]
        return settings

    def suggest(self, trial: Trial) -> Setting:
        """A setting drawn by an Optuna trial, only with hyperparameters that apply."""
        return self._setting(lambda parameter: parameter.suggest(trial))

    def complete(self, partial: Mapping[str, Value]) -> Setting:
        """The full setting for a partial one of the user's; omitted values are as published.

        Raises SpaceError for an unknown name, a wrong type, a value out of range, or a value of
        a hyperparameter that does not apply.
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
                    f" {_conditions_text(parameter.when)}; omit it"
                )
        return setting

    def applicable(self, values: Mapping[str, Value]) -> Setting:
        """The setting with these values; those that do not apply become None."""
        return self._setting(lambda parameter: values[parameter.name])

    @property
    def searched(self) -> list[str]:
        """Names of the hyperparameters that are not fixed."""
        return [parameter.name for parameter in self.params if not isinstance(parameter, Fixed)]

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

        Values may exceed the declared range; see `excludes_published`. Raises SpaceError for an
        unknown name or option, an empty or reversed range, a wrong type, and a pin without
        effect.
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
        """The space for a schedule of `num_epochs`, to which `Epochs` are scaled."""
        params = tuple(
            parameter.for_epochs(num_epochs) if isinstance(parameter, Epochs) else parameter
            for parameter in self.params
        )
        return replace(self, params=params)

    def excludes_published(self) -> tuple[str, ...]:
        """The names whose pin or narrowed range excludes the published value."""
        published = (self.declared or self).published()
        return tuple(
            parameter.name
            for parameter in self.params
            if _hold(parameter.when, published)
            and not parameter.contains(published[parameter.name])
        )

    def table(self) -> list[dict[str, str]]:
        """The space as rows of text: name, range, scale, grid, published, when."""
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
                    f" also set {other}={text_of(wanted)}, or omit {name}"
                )


def _hold(conditions: Conditions | None, setting: Mapping[str, Value]) -> bool:
    return all(setting[name] == value for name, value in (conditions or {}).items())


def _grid_of(parameter: Parameter) -> tuple[Value, ...]:
    assert parameter.grid is not None  # filled in when the parameter was built
    return parameter.grid


def _conditions_text(conditions: Conditions | None) -> str:
    return " and ".join(f"{name} is {text_of(value)}" for name, value in (conditions or {}).items())
