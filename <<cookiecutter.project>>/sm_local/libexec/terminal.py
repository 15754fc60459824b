"""Run a command on a terminal of its own, as `docker run --tty` does.

usage: terminal.py COMMAND...

stdin is the terminal that a person types into, stdout shows and logs what the command writes. It
exits as the command does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import sys
import termios
import tty


def main(command: list[str]) -> int:
    """Run it; return its exit status, 128 and more after a signal."""
    process, terminal = pty.fork()
    if not process:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # a recipe ignores them here
            signal.signal(number, signal.SIG_DFL)
        os.execvp(command[0], command)
    resize(terminal)
    signal.signal(signal.SIGWINCH, lambda *_: resize(terminal))
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        relay(terminal)
    finally:
        with contextlib.suppress(termios.error):  # it is closed
            termios.tcsetattr(0, termios.TCSADRAIN, before)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return status if status >= 0 else 128 - status


def resize(terminal: int) -> None:
    """Give it the size of the person's."""
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


def relay(terminal: int) -> None:
    """Pass on what is typed and what is written, until the last process has closed its side."""
    sources = [0, terminal]
    while True:
        ready = select.select(sources, [], [])[0]
        if 0 in ready and not copy(0, terminal):
            sources.remove(0)
        if terminal in ready and not copy(terminal, 1):
            return


def copy(source: int, target: int) -> bool:
    """Copy what there is; return False at the end."""
    try:
        data = os.read(source, 65536)
    except OSError:
        return False
    with contextlib.suppress(OSError):  # nobody reads it any more
        while data:
            data = data[os.write(target, data) :]
        return True
    return source != 0 and bool(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
