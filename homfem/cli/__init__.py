"""The command ``homfem``: effective tensors, cells and macroscale runs from TOML files."""

from homfem.cli.app import app, main

__all__ = ["app", "main"]
