"""Macroscale models: each takes effective tensors and an organ mesh and marches in time over MPI."""
