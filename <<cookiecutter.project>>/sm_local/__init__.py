"""sm-local: Python decides what a SageMaker job is and writes the Bash recipe that runs it."""
