"""Estimates the remaining time and formats it."""

import time

LINES = 10  # of progress, where there is no terminal
QUIET_SECONDS = 5.0  # work that takes less reports no progress

MINUTE, HOUR, DAY = 60, 3600, 86400


def seconds_left(seconds: float, done: float, left: float) -> float | None:
    """Estimate for the `left` units of work, if `done` units took `seconds`; None for no units."""
    return max(0.0, left) * seconds / done if done > 0 else None


def left_text(seconds: float | None) -> str:
    """Such as "about 12 min left", rounded as an estimate deserves; "" for None and for 0."""
    return f"about {_about(seconds)} left" if seconds else ""


def _about(seconds: float) -> str:
    if seconds < 10:
        return f"{max(1, round(seconds))} s"
    if seconds < MINUTE - 2.5:
        return f"{5 * round(seconds / 5)} s"
    if seconds < HOUR - MINUTE / 2:
        return f"{round(seconds / MINUTE)} min"
    if seconds < DAY:
        minutes = 5 * round(seconds / MINUTE / 5)
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / HOUR)
    return f"{hours // 24} d {hours % 24} h"


class Milestones:
    """Decides when to print a line of progress: at each tenth, but not in the first seconds."""

    def __init__(self) -> None:
        self._began, self._reported = time.monotonic(), 0

    @property
    def seconds(self) -> float:
        """Seconds elapsed."""
        return time.monotonic() - self._began

    def is_due(self, done: int, total: int) -> bool:
        """Whether to report that `done` units of `total` are done; true once per tenth."""
        reached = LINES * done // max(1, total)
        if self.seconds < QUIET_SECONDS or reached <= self._reported:
            return False
        self._reported = reached
        return True
