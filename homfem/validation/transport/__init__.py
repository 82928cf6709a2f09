"""Transport in the cell beside numbers of other methods and closed forms: reaction, dispersion, charge, chemotaxis."""

from homfem.validation.transport.collect import transport_rows

__all__ = ["transport_rows"]
