"""Families of cells that are made here, one module each."""
