"""Cells as plain arrays: their nodes, measures, quality and refinement, and which opposite nodes are one."""
