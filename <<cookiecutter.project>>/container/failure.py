"""Say why a script failed, in /opt/ml/output/failure: run_script.py reads this when one has.

It needs Python 3.7 or newer and its standard library.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

ML = os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")
CODE = os.path.join(ML, "code")
FAILURE = os.path.join(ML, "output", "failure")
REASON = 1024  # characters of that file that become the FailureReason
INSTALLED = ("/site-packages/", "/dist-packages/")  # not the job's own code


def write(error: BaseException, trace: TracebackType | None) -> None:
    """Write what becomes the FailureReason, unless the script or another process has done so."""
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
