"""Process 1 of a parked container whose job will begin with container/train.

usage: python3 -u -c "$(cat preload.py)" SECONDS MODULE,MODULE    by lib/parked.sh, in a container

It speaks as wait.sh does. Then it does what container/train does, and like that becomes a new
interpreter for the script. With modules (PRELOAD), which it imports while it waits, the script runs
in this one: used once, never forked. Where that would not be the same, it is a new one after all:
for a program that is no Python script, after pip has installed something, and if a module of the
code's own has the name of one that is imported already.

It needs Python 3.8 or newer, and toolkit.py and run_script.py of container/ in the image.
"""

import sys

STARTED = set(sys.modules)  # what every interpreter has

import importlib  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import time  # noqa: E402


def wait(seconds, modules):
    """Import modules and wait for the job; return the toolkit and what runs a script."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, end)
    signal.alarm(int(seconds))
    try:
        ours = find_toolkit()
        for name in filter(None, modules.split(",")):
            importlib.import_module(name)
    except Exception as error:
        print(f"sm-local: no: {type(error).__name__}: {error}", flush=True)
        time.sleep(2)  # what a container said goes when it ends
        end()
    print("sm-local: parked", flush=True)
    hear()
    signal.alarm(0)
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    print("sm-local: begin", flush=True)
    return ours


def end(*_):
    """End without having been a job."""
    os._exit(125)


def find_toolkit():
    """Import what the image's `train` is made of; no other `train` may be on PATH."""
    folders = [folder for folder in os.get_exec_path() if shutil.which("train", path=folder)]
    if len(folders) != 1:
        raise ImportError(f"'train' is not container/train alone: {', '.join(folders) or 'none'}")
    sys.path[:1] = folders if sys.path[:1] == [""] else [*folders, *sys.path[:1]]
    found = [importlib.import_module(name) for name in ("toolkit", "run_script")]
    for module in found:
        del sys.modules[module.__name__]
    return found


def hear():
    """Set the variables that stdin says; leave it at its end, as a job has it."""
    with os.fdopen(os.dup(0), "rb", buffering=0) as told:
        while (line := told.readline()) not in (b"", b"\n"):
            name, _, value = os.fsdecode(line[:-1]).partition("=")
            os.environ[name] = value
    if not line:
        end()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdin = os.fdopen(0, encoding=sys.stdin.encoding, errors=sys.stdin.errors)


def decide(toolkit, run_script, here):
    """Do what the toolkit does; return the script and its arguments, if it is to run `here`."""
    words, installed = [], []
    execute, install = toolkit.execute, toolkit.install

    def installing(program):
        listed = toolkit.requirements_in(os.path.join(toolkit.CODE, "requirements.txt"))
        if toolkit.kind_of(program) == "package" or not all(map(toolkit.met, listed)):
            installed.append(program)
        install(program)

    def becoming(wanted):
        if not here or installed or wanted[:3] != [sys.executable, "-u", run_script.__file__]:
            execute(wanted)
        if taken := name_taken(toolkit.CODE):
            print(f"sm-local: nothing is preloaded: {taken} is another module", file=sys.stderr)
            execute(wanted)
        words.extend(wanted[3:])

    os.environ.setdefault("PWD", os.getcwd())  # as the shell does that runs `train`
    toolkit.install, toolkit.execute = installing, becoming
    sys.argv = [toolkit.__file__]
    toolkit.main()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return words


def name_taken(folder):
    """Return the file of the code whose module's name is that of one which is imported already."""
    for name in sorted(os.listdir(folder)):
        stem = name[:-3] if name.endswith(".py") else name
        package = os.path.isfile(os.path.join(folder, name, "__init__.py"))
        if (name != stem or package) and stem in sys.modules and stem not in STARTED:
            return os.path.join(folder, name)
    return ""


def run(run_script, words):
    """Run the script as run_script.py does when Python starts with it."""
    told = [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    sys.path[1:] = [*told, *(path for path in sys.path[1:] if path not in told)]
    importlib.invalidate_caches()
    if sys.version_info < (3, 14):
        run_script.__dict__.setdefault("__annotations__", {})
    run_script.main(words)


TOOLKIT, RUN_SCRIPT = wait(*sys.argv[1:])
run(RUN_SCRIPT, decide(TOOLKIT, RUN_SCRIPT, here=bool(sys.argv[2])))
