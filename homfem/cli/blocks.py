"""The command ``homfem blocks tables``: the tables of March, Carr and Turner regenerated."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence

from homfem.cli import session
from homfem.disk import write_text, writing
from homfem.output.canvas import FORMATS
from homfem.parameters import check_choice
from homfem.progress import progress_bar, set_up_logging
from homfem.runs.targets import check_target, keep_apart, with_derived

FIGURE_3 = "figure 3"


def run_tables(which: Sequence[str], *, quick: bool, repeats: int, json: str | None, figure: str | None) -> int:
    """Make, show and write the tables that are named (all by default); return the exit status. Rank 0 alone works."""
    from homfem.blocks.tables import MAKERS, regenerate_tables

    check_target("--json", json)
    check_target("--figure", figure, FORMATS)
    keep_apart([*with_derived("--json", json), *with_derived("--figure", figure)], [])
    names = [check_choice("TABLE", name, tuple(MAKERS)) for name in which] or list(MAKERS)
    if figure is not None and FIGURE_3 not in names:
        names.append(FIGURE_3)
    rank = session.launched_rank() or 0
    if rank:
        return session.DONE
    set_up_logging(rank=rank, verbose=False)
    results = {}
    with session.results_only(json == "-"):
        for name in names:
            with progress_bar(f"table {name}" if name.isdigit() else name, rank=rank):
                (results[name],) = regenerate_tables([name], full=not quick, repeats=repeats)
            if json != "-":
                session.show(f"{results[name]}\n")
        if figure is not None:
            from homfem.output.media import draw_figure_3

            with writing(figure):
                draw_figure_3(results[FIGURE_3], figure)
    text = jsonlib.dumps({name: table.to_dict() for name, table in results.items()}, indent=2, allow_nan=False)
    if json == "-":
        session.show(text)
    elif json is not None:
        write_text(json, text + "\n")
    return session.DONE
