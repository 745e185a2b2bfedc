"""The one style of all figures: what colour-blind people tell apart, on white, on black, in print.

A figure is drawn inside of `drawing`, which has no state that outlives it. Its text, axes and
background have colours of their own (INK, FAINT, GRID, PAPER): those of a light page, which a
page replaces by those of its reader's scheme.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import matplotlib.style
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.container import Container
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

LONGEST = 24  # characters of an option or a name on an axis

# Okabe and Ito's palette.
BLUE, ORANGE, GREEN, RED = "#0072b2", "#e69f00", "#009e73", "#d55e00"
PURPLE, SKY, YELLOW, GREY = "#cc79a7", "#56b4e9", "#f0e442", "#8c8c8c"
COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)  # yellow vanishes on white
# They repeat what the colours say.
DASHES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
COLOUR_SCALE = "cividis"  # perceptually uniform, and the same to colour-blind people
# For lines, which have the page behind them: neither end vanishes on white or on black.
LINE_SCALE = LinearSegmentedColormap.from_list("lines", ["#3e6da8", "#8c8c8c", "#e0a100"])

# Of nothing else in a figure: white and black stay what they are in every scheme.
INK, FAINT, GRID, PAPER = "#1c2024", "#5b6570", "#d9dde1", "#fffffe"
PIXELS_PER_INCH = 200
LINE_WIDTH = 6.5  # inches; of a page's text

_STYLE = {
    "font.family": "DejaVu Sans",  # matplotlib brings it, so figures look alike everywhere
    "font.size": 9,
    "mathtext.fontset": "dejavusans",
    "text.color": INK,
    "figure.facecolor": PAPER,
    "savefig.dpi": PIXELS_PER_INCH,
    "axes.facecolor": PAPER,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=DASHES),
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "hatch.linewidth": 0.6,
    "hatch.color": PAPER,
    "image.cmap": COLOUR_SCALE,
    "errorbar.capsize": 3,
    "svg.fonttype": "path",
    "svg.hashsalt": "tuner",  # the same ids in every run
}


@contextmanager
def style() -> Iterator[None]:
    """The style, whatever a person's own settings of matplotlib are; to draw in, and to save in."""
    with matplotlib.style.context(["default", _STYLE]):
        yield


@contextmanager
def drawing(width_inches: float = LINE_WIDTH, height_inches: float = 3.6) -> Iterator[Figure]:
    """A new figure, to be drawn inside the `with`: lines and legends take their style then."""
    with style():
        yield Figure(figsize=(width_inches, height_inches), layout="constrained")


def literal(text: str) -> str:
    """Text of a person's, as it is.

    Without it, what stands between two $ would be a formula, and what begins with _ would be in
    no legend.
    """
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def legend_above(
    axes: Axes, num_columns: int = 4, *, handles: Sequence[Artist | Container] | None = None
) -> None:
    """The legend in a line over the axes, where it hides nothing; of `handles`, or of all."""
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 1.01),
        ncols=num_columns,
        borderaxespad=0,
        handlelength=2.4,
        columnspacing=1.6,
    )


def log_scale(axes: Axes, which: Literal["x", "y"]) -> None:
    """Makes an axis with its data logarithmic, with plain numbers at as many places as fit."""
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = sorted(axis.get_view_interval())
    num_decades = math.log10(high / low)
    if num_decades > 0.5:
        digits = (1,) if num_decades > 3 else (1, 2, 5) if num_decades > 1 else (1, 2, 3, 5, 7)
        stride = max(1, round(num_decades / 7))
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        places = [digit * 10.0**n for n in powers if n % stride == 0 for digit in digits]
    else:
        places = list(MaxNLocator(5).tick_values(low, high))
    room = 1 + 1e-9  # a limit is not exact once it has been a logarithm
    shown = [place for place in places if low / room <= place <= high * room]
    axis.set_major_locator(FixedLocator(shown))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))


def short(text: str, longest: int = LONGEST) -> str:
    """A name of a person's as an axis has room for it."""
    return literal(text if len(text) <= longest else f"{text[: longest - 1]}…")
