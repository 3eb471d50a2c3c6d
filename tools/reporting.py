"""What the comparisons with PyTorch share: how an error is measured, and how a table is printed."""

import numpy as np


def relative_error(values, reference):
    """The largest error of a value, relative to the largest value of the reference."""
    return float(np.abs(values - reference).max() / np.abs(reference).max())


def print_table(rows):
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
