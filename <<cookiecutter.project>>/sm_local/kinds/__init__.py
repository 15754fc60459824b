"""Kinds of job: a request in, a Plan out."""
