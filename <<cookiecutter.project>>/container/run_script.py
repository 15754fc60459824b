"""Run a script as `python NAME ARGUMENT...` does; if it fails, tell SageMaker why.

usage: run_script.py NAME ARGUMENT...
       run_script.py -m MODULE ARGUMENT...

The script finds what it would find without this file: `__main__`, `__file__`, sys.argv, sys.path.
Its traceback and exit status are its own. An error that nobody caught is also written to
/opt/ml/output/failure, which becomes the job's FailureReason:

    ZeroDivisionError: division by zero
      at /opt/ml/code/train.py:9 in main

It needs Python 3.7 or newer and its standard library. Each job waits until this is compiled, so
what only a failure needs is in failure.py.
"""

import builtins
import os
import sys

TYPE_CHECKING = False  # importing `typing` would cost 10 ms
if TYPE_CHECKING:
    from types import TracebackType

HERE = os.path.dirname(os.path.abspath(__file__))


def main(arguments: "list[str]") -> None:
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


def run_script(name: str, arguments: "list[str]") -> None:
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


def run_module(name: str, arguments: "list[str]") -> None:
    """Run a module in this interpreter."""
    import runpy

    look_in(os.getcwd())
    sys.argv[:] = [name, *arguments]
    runpy._run_module_as_main(name)  # type: ignore[attr-defined]  # what `python -m` calls


def look_in(folder: str) -> None:
    """Import from a folder instead of from this file's; where Python has -P, from neither."""
    if sys.path and os.path.abspath(sys.path[0]) == HERE:
        sys.path[0] = folder


def without_this_file(trace: "TracebackType | None") -> "TracebackType | None":
    """Return a traceback without the calls that led to the script."""
    while trace and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def write_failure(error: BaseException, trace: "TracebackType | None") -> None:
    """Write what becomes the FailureReason, by failure.py.

    Not imported: the script may have changed how that is done, or have a module of that name.
    """
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return
    path, functions = os.path.join(HERE, "failure.py"), {"__name__": "failure"}
    try:
        with open(path, encoding="utf-8") as file:
            exec(compile(file.read(), path, "exec"), functions)
        functions["write"](error, trace)  # type: ignore[operator]
    except Exception:  # the script's own error is what is shown
        return


if __name__ == "__main__":
    main(sys.argv[1:])
