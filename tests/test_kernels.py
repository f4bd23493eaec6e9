"""Notebooks in a shared kernel come out as in kernels of their own."""

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from hybrid_batch import kernels

SEEN = "import matplotlib\nmatplotlib.rcParams['font.size'], 'left' in globals()"


def notebook(*cells):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])


def test_a_shared_kernel_forgets_what_a_notebook_named_set_and_counted(tmp_path):
    alone = kernels.execute(notebook(SEEN), tmp_path / "alone.ipynb")
    with kernels.shared() as client:
        first = kernels.execute(notebook("import seaborn\nseaborn.set_context('talk')", f"left = 1\n{SEEN}"), None, lambda: client)
        second = kernels.execute(notebook(SEEN), None, lambda: client)
    assert first.cells[1].outputs[0].data != alone.cells[0].outputs[0].data  # it had set something
    for made in (alone, second):
        (output,), count = made.cells[0].outputs, made.cells[0].execution_count
        assert (output.data["text/plain"], output.execution_count, count) == ("(10.0, False)", 1, 1)


def test_a_notebook_that_fails_in_a_shared_kernel_says_where():
    with kernels.shared() as client, pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        kernels.execute(notebook("1 / 0"), None, lambda: client)
