"""The one exception for what a user can put right."""


class SmLocalError(Exception):
    """Say what is wrong and what to do about it; several problems stand on a line each.

    `__main__` prints every line behind `sm-local: ` and exits with 1. Any other exception is a
    defect of sm-local and keeps its traceback.
    """
