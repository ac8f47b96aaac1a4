"""Theory beside finite random networks: what is measured, at which widths, and when the two disagree.

Two things keep a finite network from the theory: its scatter, which the standard error measures, and the correction of
order 1/n, which no number of networks removes. So every quantity is measured at two widths or more, the 1/n law is
fitted, and what is compared with the theory is the value at infinite width. A row beyond three standard errors is
measured again on four times as many fresh networks, and the fresh value replaces it: chance does not survive that, a
disagreement does.
"""

from mfmi.verification._compare import COLUMNS, LIMIT, Row, verify
from mfmi.verification._measures import BRACKET_WIDTH, Effort, Setting, chosen_pairs
from mfmi.verification._real_inputs import RealInputRow, compare_real_inputs

__all__ = [
    "BRACKET_WIDTH",
    "COLUMNS",
    "LIMIT",
    "Effort",
    "RealInputRow",
    "Row",
    "Setting",
    "chosen_pairs",
    "compare_real_inputs",
    "verify",
]
