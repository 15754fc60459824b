"""What Make and recipes start: scripts, and Python that needs the standard library alone."""
