"""What single questions measure: a module a question, each a trace and parameters to a frame.

`contexts` and `pinning` replay a trace whose events were edited (`edits`, `evictable`), `flushes`
prices shootdowns (`quarantine` has the lazy purge), `orders` compares victim orders and `simulated`
holds them against closed forms, and `toy` is a region small enough to be drawn event by event.
"""
