"""The command ``homfem validate``."""

from __future__ import annotations

from homfem.cli import session
from homfem.cli.effective import hand_over
from homfem.parameters import check_choice
from homfem.progress import progress_bar, set_up_logging
from homfem.ranks import world
from homfem.runs.targets import check_target
from homfem.validation import STUDIES, Row, validate
from homfem.validation.rows import as_text


def list_studies() -> int:
    """Show the names of the studies."""
    width = max(map(len, STUDIES))
    session.show("\n".join(f"{name.ljust(width)}  {study.title}" for name, study in STUDIES.items()))
    return session.DONE


def run_validate(name: str | None, *, json: str | None) -> int:
    """Compute and show the rows of a study, or of all; return the exit status: 0 if all are within. Collective."""
    check_target("--json", json)
    names = list(STUDIES) if name is None else [check_choice("NAME", name, list(STUDIES))]
    rank = session.launched_rank() or 0
    set_up_logging(rank=rank)
    rows: list[Row] = []
    with session.results_only(json == "-"):
        for study in names:
            with progress_bar(study, rank=rank):
                rows += validate(study)
    hand_over({"rows": [row.to_dict() for row in rows]}, as_text(rows), json, world())
    return session.DONE if all(row.within for row in rows) else session.FAILED
