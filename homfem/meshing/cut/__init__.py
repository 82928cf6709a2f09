"""Cells given by level sets: a periodic grid of simplices cut along surfaces."""
