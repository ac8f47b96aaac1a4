"""Theory beside finite random networks: what is measured, at which widths, and when the two disagree.

Two things keep a finite network from the theory: its scatter, which the standard error measures, and the correction of
order 1/n, which no number of networks removes. So every quantity is measured at two widths or more, the 1/n law is
fitted, and what is compared with the theory is the value at infinite width. A row beyond three standard errors is
measured again on four times as many fresh networks, and the fresh value replaces it: chance does not survive that, a
disagreement does.
"""

from mfmi.verification._compare import COLUMNS, LIMIT, Row, block_of, verify
from mfmi.verification._measures import BRACKET_WIDTH, Effort
from mfmi.verification._real_inputs import RealInputRow, compare_real_inputs
from mfmi.verification._setting import Setting, chosen_pairs, kernel_of

__all__ = [
    "BRACKET_WIDTH",
    "COLUMNS",
    "LIMIT",
    "Effort",
    "RealInputRow",
    "Row",
    "Setting",
    "block_of",
    "chosen_pairs",
    "compare_real_inputs",
    "kernel_of",
    "verify",
]
