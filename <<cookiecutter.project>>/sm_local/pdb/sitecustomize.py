"""PDB=1: an exception that nobody caught opens pdb in the frame that raised it, then ends the job.

A job finds this file first on PYTHONPATH, so each of its Python processes runs it. It asks nothing
of the image, and needs Python 3.6.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def image_sitecustomize():
    """Run the image's own, which this file hides."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    others = [path for path in sys.path if os.path.abspath(path) != HERE]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec and spec.loader:
        spec.loader.exec_module(module_from_spec(spec))


def post_mortem(kind, value, trace):
    """Show the traceback, as ever; let a person at the terminal look into it."""
    sys.__excepthook__(kind, value, trace)
    if trace and is_program_of_the_job() and not is_quit(kind) and sys.stdin.isatty():
        import pdb

        pdb.post_mortem(trace)


def is_program_of_the_job():
    """Return whether this process runs a script, not pip or another of Python's own programs."""
    program = getattr(sys.modules.get("__main__"), "__file__", None)
    if not program:
        return False
    path = os.path.abspath(program)
    return not any(path.startswith(prefix + os.sep) for prefix in (sys.prefix, sys.base_prefix))


def is_quit(kind):
    """Return whether a person has ended the program, perhaps by pdb's own `quit`."""
    return kind.__name__ == "BdbQuit" or not issubclass(kind, Exception)


image_sitecustomize()
sys.excepthook = post_mortem
