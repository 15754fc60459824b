"""Start debugpy in the Python processes that run the job's script; leave every other one alone.

`make debug` mounts this folder into the job and puts it first on PYTHONPATH, so that each Python
there runs this file before its program. What runs a script of the job, or starts one as torchrun
does, is debugged; pip, `python -c` and a toolkit are not. debugpy is mounted beside this folder,
for Python 3.8 or newer. An older Python, from 3.6 on, only passes through.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
KIT = os.path.dirname(HERE)
PATIENCE = 50  # tenths of a second until a port is free that an earlier script of the job had


def image_sitecustomize():
    """Run the image's own sitecustomize, which this one hides."""
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    others = [path for path in sys.path if os.path.abspath(path) != HERE]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec and spec.loader:
        spec.loader.exec_module(module_from_spec(spec))


def command_line():
    """Return the words behind the interpreter's name; sys.argv has them too late or not at all."""
    if hasattr(sys, "orig_argv"):
        return sys.orig_argv[1:]
    with open("/proc/self/cmdline", "rb") as file:
        return [os.fsdecode(word) for word in file.read().split(b"\0")[1:-1]]


def is_job(words):
    """Tell whether one of the words is a program of the job's.

    It need not be the first: torchrun, or another launcher, comes before the script it starts.
    """
    if any(word.startswith(KIT + "/") for word in words):
        return False  # the adapter, or a child that debugpy follows already
    program = next((number for number, word in enumerate(words) if word[:1] != "-"), len(words))
    if "-c" in words[:program]:
        return False
    before = ["", *words]
    return any(is_script(word, before[at], at == program) for at, word in enumerate(words))


def is_script(word, before, is_program):
    """Tell whether a word is a file or, behind -m, a module of the job's code."""
    folders = os.environ.get("LOCAL_DEBUG_CODE", "").split(":")
    if before == "-m":
        parts = word.split(".")
        places = [os.path.join(folder, *parts) for folder in [os.getcwd(), *folders]]
        files = [place + end for place in places for end in (".py", "/__main__.py")]
    else:
        files = [word] if word.endswith(".py") or is_program else []
    found = [os.path.realpath(file) for file in files if os.path.isfile(file)]
    inside = tuple(os.path.realpath(folder) + "/" for folder in folders if folder)
    return any(path.startswith(inside) for path in found)


def start():
    """Make this process the first that is debugged, or one more beside those there are."""
    version = "newer" if sys.version_info >= (3, 10) else "older"
    sys.path.append(os.path.join(KIT, "debugpy", version))
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # its warning, in the job's log
    import debugpy.server  # noqa: F401  (puts pydevd on sys.path)

    sys.excepthook = uncaught
    with open(os.environ["LOCAL_DEBUG_STATE"], "a+") as state:
        lock(state)
        state.seek(0)
        words = state.read().split()
        if not (words and join(*words)):
            listen()
            state.truncate(0)
            state.write(address())
    stop_once()


def lock(state):
    """Wait until another process has its debugger; where locks do not work, do without."""
    import contextlib
    import fcntl

    with contextlib.suppress(OSError):
        fcntl.flock(state, fcntl.LOCK_EX)


def join(host, port, token, parent):
    """Be one more process of a debugger that is there; tell whether it still is."""
    import socket

    import pydevd

    try:  # pydevd itself is not left as it was when nobody answers
        socket.create_connection((host, int(port)), 5).close()
    except OSError:
        return False
    pydevd.settrace(
        host=host,
        port=int(port),
        suspend=False,
        trace_only_current_thread=False,
        patch_multiprocessing=True,
        notify_stdin=False,
        access_token=token,
        ppid=int(parent),
    )
    return True


def listen():
    """Open the port, say so, and wait for somebody's debugger unless told not to."""
    import debugpy

    port = int(os.environ["LOCAL_DEBUG_PORT"])
    for attempt in range(PATIENCE):
        try:
            debugpy.listen((os.environ["LOCAL_DEBUG_BIND"], port))
            break
        except RuntimeError as error:
            if attempt + 1 == PATIENCE or "in use" not in str(error):
                raise
            import time

            time.sleep(0.1)
    waits = os.environ.get("LOCAL_DEBUG_WAIT") == "1"
    say("waiting for a debugger" if waits else "a debugger may connect", f"on 127.0.0.1:{port}")
    if waits:
        wait()


def wait():
    """Wait for a debugger. The kernel hides SIGTERM from a process 1 that has no handler."""
    import signal

    import debugpy

    if os.getpid() != 1:
        debugpy.wait_for_client()
        return
    before = signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))
    debugpy.wait_for_client()
    signal.signal(signal.SIGTERM, before)


def address():
    """Return where a process finds the debugger of this one: host, port, token, process."""
    import pydevd

    setup = pydevd.SetupHolder.setup
    return f"{setup['client']} {setup['port']} {setup['access-token']} {os.getpid()}"


def uncaught(kind, value, trace):
    """Stop where an exception was raised that nobody caught, its frames still there.

    debugpy does so by itself only where it has started the program.
    """
    import debugpy

    if not issubclass(kind, (KeyboardInterrupt, SystemExit)) and debugpy.is_client_connected():
        if hasattr(debugpy, "trigger_exception_handler"):
            debugpy.trigger_exception_handler((kind, value, trace), as_uncaught=True)
        else:
            post_mortem((kind, value, trace))
    sys.__excepthook__(kind, value, trace)


def stop_once():
    """Stop once for an exception: where a breakpoint was hit before, debugpy finds it too."""
    import pydevd

    debugger = pydevd.get_global_debugger()
    stop, last = debugger.do_stop_on_unhandled_exception, [None]

    def stop_unless_done(thread, frame, frames, error):
        if error[1] is not last[0]:
            last[0] = error[1]
            stop(thread, frame, frames, error)

    debugger.do_stop_on_unhandled_exception = stop_unless_done


def post_mortem(error):
    """Do what the older debugpy has no function for."""
    import threading

    import pydevd

    debugger, thread = pydevd.get_global_debugger(), threading.current_thread()
    info = debugger.set_additional_thread_info(thread)
    info.is_tracing += 1
    try:
        debugger.stop_on_unhandled_exception(debugger, thread, info, error)
    finally:
        info.is_tracing -= 1


def say(*words):
    """Write a line into the job's log."""
    print("sm-local:", *words, file=sys.stderr, flush=True)


def debug():
    """Start debugpy where it belongs. A job that cannot be debugged does not go on undebugged."""
    if not os.environ.get("LOCAL_DEBUG_PORT") or not is_job(command_line()):
        return
    if sys.version_info < (3, 8):  # noqa: UP036  (the image's Python)
        version = ".".join(map(str, sys.version_info[:2]))
        say(f"this script runs without a debugger: Python {version} is too old for it")
        return
    try:
        start()
    except Exception as error:
        say(f"the debugger did not start ({type(error).__name__}: {error})")
        os._exit(1)


try:
    image_sitecustomize()
finally:
    debug()
