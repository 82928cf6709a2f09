"""The command ``homfem init``."""

from __future__ import annotations

import os

from homfem.cli import session
from homfem.config.templates import template, template_names
from homfem.disk import write_text
from homfem.parameters import FileError
from homfem.runs.targets import check_target


def list_templates() -> int:
    """Show the names of the templates, with what each is of."""
    names = template_names()
    width = max(map(len, names))
    session.show("\n".join(f"{name.ljust(width)}  {what}" for name, what in names.items()))
    return session.DONE


def run_init(name: str, file: str | None, *, force: bool) -> int:
    """Write the template of a physics, a model or a sweep, by default into ``NAME.toml``; return the exit status."""
    text = template(name)
    if file == "-":
        session.show(text.rstrip())
        return session.DONE
    path = file or f"{name}.toml"
    if os.path.exists(path) and not force:  # unlike Path.exists false for names that no file can have
        raise FileError("FILE", path, "a file that is not there yet", "To write over it, say --force.")
    check_target("FILE", path)
    if not session.launched_rank():
        write_text(path, text)
    session.show(f"{path}: a template with every key; homfem keys says the same in a table")
    return session.DONE
