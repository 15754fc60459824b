"""Run a script as `python NAME ARGUMENT...` does; if it fails, tell SageMaker why.

usage: run_script.py NAME ARGUMENT...
       run_script.py -m MODULE ARGUMENT...

The script finds what it would find without this file: `__main__`, `__file__`, sys.argv, sys.path.
Its traceback and exit status are its own. An error that nobody caught is also written to
/opt/ml/output/failure, which becomes the job's FailureReason:

    ZeroDivisionError: division by zero
      at /opt/ml/code/train.py:9 in main

It needs Python 3.7 or newer and its standard library.
"""

from __future__ import annotations

import builtins
import os
import sys

TYPE_CHECKING = False  # importing `typing` would cost 10 ms
if TYPE_CHECKING:
    from types import TracebackType

ML = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
CODE = os.path.join(ML, "code")
FAILURE = os.path.join(ML, "output", "failure")
REASON = 1024  # characters of that file that become the FailureReason
HERE = os.path.dirname(os.path.abspath(__file__))
INSTALLED = ("/site-packages/", "/dist-packages/")  # not the job's own code


def main(arguments: list[str]) -> None:
    """Run what is named; if it fails, say why, and end as Python does."""
    parent = os.getpid()
    try:
        if arguments[0] == "-m":
            run_module(arguments[1], arguments[2:])
        else:
            run_script(arguments[0], arguments[1:])
    except BaseException as error:
        trace = without_this_file(error.__traceback__)
        if os.getpid() == parent:  # and not a child that the script forked
            write_failure(error, trace)
        shown = sys.excepthook  # the script may have set its own
        sys.excepthook = lambda kind, value, _: shown(kind, value.with_traceback(trace), trace)
        raise


def run_script(name: str, arguments: list[str]) -> None:
    """Run a script in this interpreter."""
    path = os.path.abspath(name)
    look_in(os.path.dirname(os.path.realpath(path)))
    sys.argv[:] = [name, *arguments]
    module = type(sys)("__main__")
    module.__dict__.update(
        __builtins__=builtins,
        __cached__=None,
        __file__=path,
        __loader__=loader_of(path),
    )
    if "__annotations__" in globals():  # as a script has, before Python 3.14
        module.__annotations__ = {}
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    sys.modules["__main__"] = module
    exec(code, module.__dict__)


def loader_of(path: str) -> object:
    """Return what Python says has loaded a script. A debugger leaves this file without its own."""
    mine = globals().get("__loader__")
    if mine is not None:
        return type(mine)("__main__", path)
    from importlib.machinery import SourceFileLoader

    return SourceFileLoader("__main__", path)


def run_module(name: str, arguments: list[str]) -> None:
    """Run a module in this interpreter."""
    import runpy

    look_in(os.getcwd())
    sys.argv[:] = [name, *arguments]
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]  # what `python -m` calls


def look_in(folder: str) -> None:
    """Import from a folder instead of from this file's; where Python has -P, from neither."""
    if sys.path and os.path.abspath(sys.path[0]) == HERE:
        sys.path[0] = folder


def without_this_file(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the calls that led to the script."""
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def write_failure(error: BaseException, trace: TracebackType | None) -> None:
    """Write what becomes the FailureReason, unless the script or another process has done so."""
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return
    text, place = headline(error, trace), place_of(error, trace)
    caught = error.__context__
    if isinstance(error, SystemExit) and text == f"SystemExit: {error.code}" and caught:
        # `except Exception: ...; sys.exit(1)`: what was caught is the reason
        text = f"{headline(caught, caught.__traceback__)} (then {text})"
        place = place_of(caught, caught.__traceback__) or place
    room = REASON - len(place)
    if len(text) > room:
        half = (room - len("\n...\n")) // 2
        text = f"{text[:half]}\n...\n{text[-half:]}"
    try:  # "x": of several processes, the first has the reason
        with open(FAILURE, "x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text + place)
    except OSError:  # no such folder, or there is a reason already
        return


def headline(error: BaseException, trace: TracebackType | None) -> str:
    """Return an exception's name and text as a traceback ends with them."""
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    text = text_of(error, trace)
    return f"{name}: {text}" if text else name


def text_of(error: BaseException, trace: TracebackType | None) -> str:
    """Return an exception's text. argparse prints its own and exits with a 2; then that text."""
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace and isinstance(error, SystemExit):
        frame = trace.tb_frame
        if frame.f_globals.get("__name__") == "argparse" and frame.f_locals.get("message"):
            return str(frame.f_locals["message"]).strip()
    if isinstance(error, SyntaxError):
        return str(error.msg)  # without file and line, which are the place
    try:
        return str(error)
    except Exception:
        return "<exception str() failed>"


def place_of(error: BaseException, trace: TracebackType | None) -> str:
    """Return file, line and function of the innermost call that is in the job's own code."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"\n  at {error.filename}:{error.lineno}"
    place = ""
    while trace:
        code = trace.tb_frame.f_code
        path = os.path.abspath(code.co_filename)
        frozen = code.co_filename.startswith("<")  # <frozen os>, <string>: no file of the job's
        if path.startswith(CODE + "/") and not (frozen or any(part in path for part in INSTALLED)):
            place = f"\n  at {path}:{trace.tb_lineno} in {code.co_name}"
        trace = trace.tb_next
    return place


if __name__ == "__main__":
    main(sys.argv[1:])
