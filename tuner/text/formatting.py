"""Numbers and settings as a person reads them."""

from collections.abc import Mapping
from typing import Any

from search_spaces.parameters import text_of

NOTHING = "–"


def value_text(value: Any) -> str:
    """A hyperparameter's value, floats to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else text_of(value)


def setting_text(setting: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value_text(value)}" for name, value in setting.items() if value is not None
    )


def percent_text(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.2f}"


def duration_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def count_text(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
