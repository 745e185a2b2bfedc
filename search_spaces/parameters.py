"""What a search space is made of: `Float`, `Int`, `Choice` and `Fixed` hyperparameters.

Each checks its own declaration, so that a mistake in a space is refused when it is read.
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
    """A space, or a request to one, that makes no sense; one sentence with the remedy."""


class Trial(Protocol):
    """The part of an Optuna trial that a space draws from."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = ...) -> float: ...

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = ...) -> int: ...

    def suggest_categorical(self, name: str, choices: Any) -> Any: ...


@dataclass(frozen=True)
class Float:
    """A real number that a sampler draws from `low` to `high`, and a grid takes from `grid`.

    `when` names the values that other hyperparameters must have for this one to apply.
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
        # A person may write 1 for 1.0; a setting always holds the declared type.
        _set(self, low=low, high=high)
        _set(self, published=self.check(self.published))
        _set(self, grid=_checked_grid(self, self.grid))

    @property
    def range_text(self) -> str:
        return f"{text_of(self.low)} to {text_of(self.high)}"

    @property
    def scale(self) -> str:
        return "log" if self.log else "linear"

    def contains(self, value: Value) -> bool:
        """Whether the range includes a value of any type."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def check(self, value: Value) -> Any:
        """Returns the value as the declared type, or raises SpaceError."""
        number = self._number(value)
        if not self.contains(number):
            raise SpaceError(
                f"{self.name}: {text_of(number)} is outside {self.range_text};"
                " give a value inside, or set a wider range LOW:HIGH"
            )
        return number

    def suggest(self, trial: Trial) -> Value:
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def narrow(self, text: str) -> "Parameter":
        """Pins this to VALUE or searches LOW:HIGH instead; either may leave the range."""
        if ":" in text:
            return _ranged(self, self.kind, text, log=self.log)
        value = _number_from(self.name, self.kind, text)
        return Fixed(self.name, value, kind=self.kind, when=self.when)

    def _number(self, value: Value) -> Any:
        return _typed(self.name, self.kind, value)


@dataclass(frozen=True)
class Int(Float):
    """As `Float`, for whole numbers; both ends are included."""

    kind: ClassVar[type] = int

    def suggest(self, trial: Trial) -> Value:
        return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)


@dataclass(frozen=True)
class Choice:
    """One of several options; a grid takes all of them unless it has its own."""

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
        value: Value = trial.suggest_categorical(self.name, self.options)
        return value

    def narrow(self, text: str) -> "Parameter":
        """Pins this to one option."""
        value = _option(self.name, self.options, text)
        return Fixed(self.name, value, options=self.options, when=self.when)


@dataclass(frozen=True)
class Fixed:
    """A hyperparameter that is not searched unless a person asks for it.

    A sampler takes the published value, a grid may take others. What a person may set
    follows from `options`, or else from `kind` (float, int, bool or str; by default the
    type of the published value). None is accepted if it is the published value.
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
        return f"fixed: {text_of(self.published)}"

    def contains(self, value: Value) -> bool:
        """Whether it is the fixed value."""
        return value == self.published

    def check(self, value: Value) -> Value:
        """Returns a value that this could be set to as its type, or raises SpaceError."""
        if self.options is not None:
            return _option(self.name, self.options, text_of(value))
        if value is None and self.published is None:
            return None
        assert self.kind is not None
        checked: Value = _typed(self.name, self.kind, value)
        return checked

    def suggest(self, trial: Trial) -> Value:
        return self.published

    def narrow(self, text: str) -> "Parameter":
        """Fixes another value, or searches LOW:HIGH if this is a number."""
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
    """A number of epochs of the published schedule, which is `of` epochs long.

    A shorter training has as much shorter ones (`Space.for_epochs`), but at least one.
    """

    of: int = 240

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind is not int or _typed("of", int, self.of) < 1:
            raise SpaceError(
                f"{self.name}: {text_of(self.published)} of {self.of} epochs; give whole numbers"
            )

    def for_epochs(self, num_epochs: int) -> Fixed:
        """As a training of so many epochs has it."""
        assert isinstance(self.published, int)
        scaled = max(1, round(self.published * num_epochs / self.of)) if self.published else 0
        return Fixed(self.name, scaled, when=self.when)


Parameter = Float | Int | Choice | Fixed


def _set(parameter: Parameter, **values: Any) -> None:
    """Assigns checked values while a frozen parameter is being built."""
    for name, value in values.items():
        object.__setattr__(parameter, name, value)


def _check_name(name: object) -> None:
    """A hyperparameter is an argument of its loss."""
    if not isinstance(name, str) or not name.isidentifier():
        raise SpaceError(f"{name!r} is no hyperparameter's name; give letters, digits and _")


def _checked_options(name: str, options: Iterable[Any]) -> tuple[Value, ...]:
    if not options:
        raise SpaceError(f"{name}: a choice of no options; give at least one")
    for option in options:
        is_text = isinstance(option, str) and option.isprintable()
        if not is_text and not isinstance(option, float | int | None):
            raise SpaceError(f"{name}: {option!r} is no option; give numbers, texts, True or False")
    return tuple(options)


def _checked_grid(parameter: Parameter, grid: tuple[Value, ...]) -> tuple[Any, ...]:
    if not grid:
        raise SpaceError(f"{parameter.name}: an empty grid; give at least one value")
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
    """The value as `kind`, if nothing is lost by it; numbers must be finite."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is bool:
        fits = isinstance(value, bool)
    elif kind is str:
        fits = isinstance(value, str) and value.isprintable()
    elif kind is float:
        # False for nan and inf too.
        fits = is_number and abs(value) <= sys.float_info.max
    else:
        # Tables store a column of whole numbers with gaps as floats, so 16.0 is 16.
        fits = is_number and value % 1 == 0 and abs(value) < 2**63  # a column's largest
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
    """The parameter searched over LOW:HIGH."""
    low, high = (_number_from(parameter.name, kind, end) for end in text.split(":", 1))
    grid: tuple[Any, ...] = parameter.grid or ()
    kept = tuple(value for value in grid if value is not None and low <= value <= high)
    # What was published, or the end of the new range next to it.
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
