"""Decay by reaction in the phases and on their interfaces: slow, and at any rate."""

from homfem.certify.reaction.physics import Reaction, homogenize_reaction, solve_reaction

__all__ = ["Reaction", "homogenize_reaction", "solve_reaction"]
