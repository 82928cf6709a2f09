"""The command ``homfem plot``."""

from __future__ import annotations

from homfem import runs
from homfem.cli import session
from homfem.config.table import renamed
from homfem.parameters import InputError
from homfem.progress import set_up_logging


def run_plot(folder: str, *, field: str | None, time: str | None, out: str | None, dark: bool) -> int:
    """Draw what lies in the folder of a run and name the pictures; return the exit status. Rank 0 alone works."""
    rank = session.launched_rank() or 0
    if rank:
        return session.DONE
    set_up_logging(rank=rank, verbose=False)
    try:
        pictures = runs.plot(folder, field=field, time=time, out=out, theme="dark" if dark else "light")
    except InputError as error:
        raise renamed(error, f"--{error.name}" if error.name in ("field", "time", "out") else error.name) from error
    session.show("\n".join(map(str, pictures)) or "nothing to draw: the field stayed below the threshold everywhere")
    return session.DONE
