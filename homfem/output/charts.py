"""Charts of numbers: axes of matplotlib with the colours and words of all pictures, on a light or a dark ground."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from homfem.output import canvas
from homfem.output.colours import LINES
from homfem.output.words import printed
from homfem.parameters import InputError, check_number

#: What ``charts`` writes for a picture without a suffix.
SUFFIXES = (".png", ".pdf")


@contextmanager
def charts(
    path: str | Path,
    rows: int = 1,
    columns: int = 1,
    *,
    size: tuple[float, float] = (4.6, 3.6),
    title: str = "",
    theme: str = "light",
) -> Iterator[Any]:
    """Draw charts with matplotlib's own words, in the style of all pictures; one rank calls it.

    Lines without a colour have those of :data:`homfem.output.colours.LINES` in turn, ``"C0"``, ``"C1"``, ... name them.
    Units in labels, ``"x (um)"``, are printed as they should be. Nothing is written when the block raises.

    Parameters
    ----------
    path
        A name that ends in .png, .pdf or .svg; without a suffix, a PNG and a PDF file of that name. Its folder is made.
    rows, columns
        How many charts stand below and beside each other.
    size
        Width and height of one, in inches.
    title
        Above all.
    theme
        The ground: ``"light"`` or ``"dark"``.

    Yields
    ------
    array of matplotlib.axes.Axes, shape (rows, columns), or the axes if there is one
        With ``.figure``, to which colour bars can be added.

    Raises
    ------
    InputError
        For numbers of charts and sizes that are not positive, and an unknown theme.
    FileError
        For a name that ends otherwise.

    Example
    -------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with charts(f"{folder}/squares", title="Squares") as axes:
    ...         lines = axes.plot([0, 1, 2], [0, 1, 4], label="y")
    ...         words = axes.set(xlabel="x (um)", ylabel="y (um^2)")
    ...     sorted(file.name for file in Path(folder).iterdir()), axes.get_xlabel(), axes.get_ylabel()
    (['squares.pdf', 'squares.png'], 'x (µm)', 'y (µm²)')
    """
    from cycler import cycler
    from matplotlib import rc_context

    for name, number in (("rows", rows), ("columns", columns)):
        if number < 1:
            raise InputError(name, number, "a whole number >= 1")
    wide, high = (check_number("size", entry, above=0.0) for entry in size)
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    places = [canvas.check_figure(place if place.suffix else place.with_suffix(suffix)) for suffix in SUFFIXES]
    style = {
        "axes.prop_cycle": cycler(color=LINES),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10.5,
        "legend.frameon": False,
        "legend.fontsize": 9.0,
        "lines.linewidth": 1.4,
        "lines.markersize": 5.0,
    }
    with canvas.styled(theme), rc_context(style):
        figure = canvas.sheet(columns * wide, rows * high + (0.3 if title else 0.0), layout="constrained")
        axes = figure.subplots(rows, columns)
        yield axes
        for one in figure.axes:
            one.set_xlabel(printed(one.get_xlabel()))
            one.set_ylabel(printed(one.get_ylabel()))
        if title:
            figure.suptitle(title, fontsize=11)
        for file in dict.fromkeys(places):
            canvas.save(figure, file)
