"""The tests; `reference.py` is the specification that they hold the engine against."""
