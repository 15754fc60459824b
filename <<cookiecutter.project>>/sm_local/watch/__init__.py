"""What `make watch` is made of: what changed, a run of another verb, and the line about it."""
