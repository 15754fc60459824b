"""sm-local: Python decides what a SageMaker job is and writes the Bash recipe that runs it."""

__version__ = "0.1.0"
