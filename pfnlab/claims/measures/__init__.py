"""Measurements that a claim needs beside sweeps: each turns a trace and parameters into a frame.

One module a claim, with the name of the claim's module; `evictability` serves several.
"""
