"""Measurements of this machine: opt-in, needed by no test and no claim."""
