"""Kernels of this environment that execute notebooks."""

import contextlib
import json
import os
import sys
import tempfile

import nbformat
import papermill
from nbclient import NotebookClient
from traitlets.config import Config

from hybrid_batch import paths, storage

ARGUMENTS = ["--log-level=CRITICAL", "--InlineBackend.figure_formats=svg",
             "--IPKernelApp.exec_lines=import hybrid_batch.report.picture"]  # which gives any figure its words

FORGET = """\
from hybrid_batch.report import picture
picture.set_style()
get_ipython().reset(new_session=True)"""


def execute(notebook, path, shared=None):
    """Execute a notebook, and return it without times and paths of this machine. Raises an error with the traceback of the
    cell that failed.

    path: where papermill keeps how far it came.
    shared: a function that gives the client of a ``shared`` kernel, which is then used instead of papermill and a new kernel.
    """
    if shared:
        client, forget = shared(), nbformat.v4.new_code_cell(FORGET)
        client.nb = nbformat.v4.new_notebook(cells=[forget])
        client.execute_cell(forget, 0, store_history=False)  # cells are counted from 1 again
        client.nb = notebook
        return client.execute(cleanup_kc=False)
    with _options() as options:
        done = papermill.execute_notebook(notebook, str(path), cwd=str(paths.ROOT), progress_bar=False, stdout_file=sys.stdout,
                                          stderr_file=sys.stderr, request_save_on_cell_execute=False, **options)
    for part in (done, *done.cells):
        for name in ("papermill", "execution"):
            part.metadata.pop(name, None)
    return done


@contextlib.contextmanager
def shared():
    """The client of one kernel for one notebook after another: starting a kernel takes longer than a short notebook. Before
    each, the names and the figure style of the one before are forgotten."""
    with _options() as options:
        client = NotebookClient(nbformat.v4.new_notebook(), record_timing=False, **options)
        with client.setup_kernel(cwd=str(paths.ROOT)):
            yield client


@contextlib.contextmanager
def _options():
    """What a kernel is started with."""
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # figures go into the notebooks
    with tempfile.TemporaryDirectory() as sockets:
        # Files of its own, for two kernels that start at once may choose the same port.
        config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
        yield dict(kernel_name=own(), extra_arguments=ARGUMENTS, config=config)


def own():
    """The name of a kernel of this environment: "python3" may be that of another one on this machine."""
    name = f"hybrid-batch-{storage.digest(sys.executable)}"
    about = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": name,
             "language": "python"}
    storage.write(paths.RUNS / "jupyter" / "kernels" / name / "kernel.json", json.dumps(about))
    others = [part for part in os.environ.get("JUPYTER_PATH", "").split(os.pathsep) if part]
    os.environ["JUPYTER_PATH"] = os.pathsep.join(dict.fromkeys([str(paths.RUNS / "jupyter"), *others]))
    return name
