"""The parameters of a search space: `Float`, `Int`, `Choice`, `Fixed` and `Epochs`.

Each checks its own declaration, so a mistake in a space is reported when it is read.
"""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Protocol

from search_spaces.wording import list_of, suggestion, text_of

Value = float | int | bool | str | None
Setting = dict[str, Value]
Conditions = Mapping[str, Value]


class SpaceError(ValueError):
    """An invalid space, or an invalid value for one; one sentence with the remedy."""


class Trial(Protocol):
    """The methods of an Optuna trial that a space uses."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = ...) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = ...) -> int: ...

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


@dataclass(frozen=True)
class Float:
    """A real number: samplers draw from `low` to `high`, a grid takes the values of `grid`.

    `when` names the values that other hyperparameters must have for this one to apply. Raises
    SpaceError for an empty range, or values outside it.
    """

    name: str
    low: float
    high: float
    log: bool = False
    _: KW_ONLY
    grid: tuple[float, ...]
    published: float
    when: Conditions | None = None

    kind: ClassVar[type] = float

    def __post_init__(self) -> None:
        _check_name(self.name)
        low, high = (self._number(end) for end in (self.low, self.high))
        if not low < high:
            raise SpaceError(
                f"{self.name}: the range {text_of(low)}:{text_of(high)} is"
                f" {'reversed' if low > high else 'empty'}; give LOW:HIGH with LOW below HIGH"
            )
        if self.log and low <= 0:
            raise SpaceError(
                f"{self.name}: a log scale cannot start at {text_of(low)}; give a low end above 0"
            )
        # A file may say 1 for 1.0; a setting always holds the declared type.
        _set(self, low=low, high=high)
        _set(self, published=self.check(self.published))
        _set(self, grid=_checked_grid(self, self.grid))

    @property
    def range_text(self) -> str:
        """The range for a table."""
        return f"{text_of(self.low)} to {text_of(self.high)}"

    @property
    def scale(self) -> str:
        """The scale for a table."""
        return "log" if self.log else "linear"

    def contains(self, value: Value) -> bool:
        """Whether the value, of any type, lies in the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def check(self, value: Value) -> Any:
        """Returns the value as the declared type, or raises SpaceError."""
        number = self._number(value)
        if not self.contains(number):
            raise SpaceError(
                f"{self.name}: {text_of(number)} is outside {self.range_text};"
                " give a value in this range, or set a wider range LOW:HIGH"
            )
        return number

    def suggest(self, trial: Trial) -> Value:
        """A value drawn by the trial."""
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def narrow(self, text: str) -> "Parameter":
        """Pinned to VALUE, or searched over LOW:HIGH; both may exceed the declared range."""
        if ":" in text:
            return _ranged(self, self.kind, text, log=self.log)
        value = _number_from(self.name, self.kind, text)
        return Fixed(self.name, value, kind=self.kind, when=self.when)

    def _number(self, value: Value) -> Any:
        return _typed(self.name, self.kind, value)


@dataclass(frozen=True)
class Int(Float):
    """Like `Float` for whole numbers; both ends are included."""

    kind: ClassVar[type] = int

    def suggest(self, trial: Trial) -> Value:
        """A whole number drawn by the trial."""
        return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)


@dataclass(frozen=True)
class Choice:
    """One of several options; by default a grid takes all. Raises SpaceError if there are none."""

    name: str
    options: tuple[Value, ...]
    _: KW_ONLY
    published: Value
    grid: tuple[Value, ...] | None = None
    when: Conditions | None = None

    scale: ClassVar[str] = ""

    def __post_init__(self) -> None:
        _check_name(self.name)
        _set(self, options=_checked_options(self.name, self.options))
        _set(self, published=self.check(self.published))
        _set(self, grid=_checked_grid(self, self.options if self.grid is None else self.grid))

    @property
    def range_text(self) -> str:
        return list_of(self.options)

    def contains(self, value: Value) -> bool:
        """Whether the value is an option."""
        return value in self.options

    def check(self, value: Value) -> Value:
        """Returns the option equal to `value`, or raises SpaceError."""
        return _option(self.name, self.options, text_of(value))

    def suggest(self, trial: Trial) -> Value:
        """An option drawn by the trial."""
        value: Value = trial.suggest_categorical(self.name, self.options)
        return value

    def narrow(self, text: str) -> "Parameter":
        """Pinned to one option. Raises SpaceError if there is no such option."""
        value = _option(self.name, self.options, text)
        return Fixed(self.name, value, options=self.options, when=self.when)


@dataclass(frozen=True)
class Fixed:
    """A hyperparameter that is searched only if the user asks for it.

    Samplers take the published value, a grid may take others. The user may set one of
    `options`, or else a value of type `kind` (float, int, bool or str; by default the type of
    the published value). None is allowed if it is the published value. Raises SpaceError for
    other kinds and values.
    """

    name: str
    published: Value
    _: KW_ONLY
    options: tuple[Value, ...] | None = None
    kind: type | None = None
    grid: tuple[Value, ...] | None = None
    when: Conditions | None = None

    scale: ClassVar[str] = ""

    def __post_init__(self) -> None:
        _check_name(self.name)
        if self.options is not None:
            _set(self, options=_checked_options(self.name, self.options))
        elif self.kind is None:
            if self.published is None:
                raise SpaceError(
                    f"{self.name}: published is none, which has no type; add kind=float or kind=int"
                )
            _set(self, kind=type(self.published))
        if self.options is None and self.kind not in _EXPECTED:
            raise SpaceError(
                f"{self.name}: its kind is {self.kind!r}; give float, int, bool or str"
            )
        _set(self, published=self.check(self.published))
        _set(self, grid=_checked_grid(self, (self.published,) if self.grid is None else self.grid))

    @property
    def range_text(self) -> str:
        """The fixed value for a table."""
        return f"fixed: {text_of(self.published)}"

    def contains(self, value: Value) -> bool:
        """Whether the value is the fixed one."""
        return value == self.published

    def check(self, value: Value) -> Value:
        """Returns a valid value as the declared type, or raises SpaceError."""
        if self.options is not None:
            return _option(self.name, self.options, text_of(value))
        if value is None and self.published is None:
            return None
        assert self.kind is not None
        checked: Value = _typed(self.name, self.kind, value)
        return checked

    def suggest(self, trial: Trial) -> Value:
        """The fixed value; nothing is drawn."""
        return self.published

    def narrow(self, text: str) -> "Parameter":
        """Fixed at another value, or searched over LOW:HIGH if it is a number."""
        value: Value
        if self.options is not None:
            value = _option(self.name, self.options, text)
        elif text == "none" and self.published is None:
            value = None
        elif self.kind is bool:
            value = _option(self.name, (True, False), text) is True
        elif self.kind is str:
            value = text
        else:
            assert self.kind is not None
            if ":" in text:
                return _ranged(self, self.kind, text, log=False)
            value = _number_from(self.name, self.kind, text)
        return Fixed(self.name, value, options=self.options, kind=self.kind, when=self.when)


@dataclass(frozen=True)
class Epochs(Fixed):
    """A number of epochs in a published schedule of `of` epochs.

    Shorter schedules scale it down (`Space.for_epochs`), to at least one. Raises SpaceError
    unless both are whole numbers.
    """

    of: int = 240

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind is not int or _typed("of", int, self.of) < 1:
            raise SpaceError(
                f"{self.name}: {text_of(self.published)} of {self.of} epochs; give whole numbers"
            )

    def for_epochs(self, num_epochs: int) -> Fixed:
        """The hyperparameter for a schedule of `num_epochs`."""
        assert isinstance(self.published, int)
        scaled = max(1, round(self.published * num_epochs / self.of)) if self.published else 0
        return Fixed(self.name, scaled, when=self.when)


Parameter = Float | Int | Choice | Fixed


def _set(parameter: Parameter, **values: Any) -> None:
    """Assigns checked values while a frozen parameter is being built."""
    for name, value in values.items():
        object.__setattr__(parameter, name, value)


def _check_name(name: object) -> None:
    """Raises SpaceError unless the name can be an argument of a loss."""
    if not isinstance(name, str) or not name.isidentifier():
        raise SpaceError(f"{name!r} is not a hyperparameter's name; use letters, digits and _")


def _checked_options(name: str, options: Iterable[Any]) -> tuple[Value, ...]:
    if not options:
        raise SpaceError(f"{name}: there are no options; give at least one")
    for option in options:
        is_text = isinstance(option, str) and option.isprintable()
        if not is_text and not isinstance(option, float | int | None):
            raise SpaceError(
                f"{name}: {option!r} is not an option; give numbers, texts, True or False"
            )
    return tuple(options)


def _checked_grid(parameter: Parameter, grid: tuple[Value, ...]) -> tuple[Any, ...]:
    if not grid:
        raise SpaceError(f"{parameter.name}: the grid is empty; give at least one value")
    return tuple(dict.fromkeys(parameter.check(value) for value in grid))


def _option(name: str, options: tuple[Value, ...], text: str) -> Value:
    for option in options:
        if text_of(option) == text:
            return option
    raise SpaceError(
        f"{name}: unknown option {text!r}{suggestion(text, options)} options: {list_of(options)}"
    )


_EXPECTED = {float: "a number", int: "a whole number", bool: "true or false", str: "text"}


def _typed(name: str, kind: type, value: Any) -> Any:
    """The value as `kind` if the conversion is exact; numbers must be finite."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is bool:
        fits = isinstance(value, bool)
    elif kind is str:
        fits = isinstance(value, str) and value.isprintable()
    elif kind is float:
        # False for nan and inf too.
        fits = is_number and abs(value) <= sys.float_info.max
    else:
        # Tables store whole numbers with missing values as floats, so 16.0 is 16.
        fits = is_number and value % 1 == 0 and abs(value) < 2**63  # the range of a column
    if fits:
        return kind(value)
    raise SpaceError(f"{name}: {text_of(value)!r} is not {_EXPECTED[kind]}; give one")


def _number_from(name: str, kind: type, text: str) -> Any:
    try:
        return _typed(name, kind, kind(text))
    except ValueError as error:
        if isinstance(error, SpaceError):
            raise
        raise SpaceError(
            f"{name}: {text!r} is not {_EXPECTED[kind]}; give VALUE or LOW:HIGH"
        ) from None


def _ranged(parameter: Float | Fixed, kind: type, text: str, *, log: bool) -> "Float | Int":
    """The parameter, searched over LOW:HIGH."""
    low, high = (_number_from(parameter.name, kind, end) for end in text.split(":", 1))
    grid: tuple[Any, ...] = parameter.grid or ()
    kept = tuple(value for value in grid if value is not None and low <= value <= high)
    # The published value, or the nearest end of the new range.
    published: Any = low if parameter.published is None else parameter.published
    published = min(max(published, low), high)
    return (Int if kind is int else Float)(
        parameter.name,
        low,
        high,
        log,
        grid=kept or (low, high),
        published=published,
        when=parameter.when,
    )
