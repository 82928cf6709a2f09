"""Cells from files and to files, and the check of any mesh."""
