"""What one claim measures where a sweep does not suffice: a trace and parameters to a frame.

One module a claim, with the name of the claim's module; `evictability` serves several.
"""
