"""Formats numbers, settings and durations for people."""

from collections.abc import Mapping
from typing import Any

from search_spaces.wording import text_of

NOTHING = "–"


def value_text(value: Any) -> str:
    """A hyperparameter's value, floats with four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else text_of(value)


def setting_text(setting: Mapping[str, Any]) -> str:
    """Such as "alpha 1.5, kernel rbf"; hyperparameters that do not apply are left out."""
    return ", ".join(
        f"{name} {value_text(value)}" for name, value in setting.items() if value is not None
    )


def percent_text(value: float | None) -> str:
    """A percentage with two decimals, without its sign; a dash for None."""
    return NOTHING if value is None else f"{value:.2f}"


def duration_text(seconds: float) -> str:
    """Such as "1 h 05 min", "2 min 30 s" or "4.2 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{seconds:.1f} s"


def count_text(number: int, noun: str) -> str:
    """Such as "1 epoch" or "3 epochs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
