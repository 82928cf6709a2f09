"""Published numbers beside ours: ``homfem validate``, and the rows that the tests of the package use too.

>>> from homfem import validation
>>> row = validation.validate("blocks")[0]
>>> row.name, row.theirs, round(row.ours, 3), row.within
('case 1, xx', 0.648, 0.648, True)
"""

from homfem.validation.rows import Row
from homfem.validation.studies import STUDIES, validate

__all__ = ["STUDIES", "Row", "validate"]
