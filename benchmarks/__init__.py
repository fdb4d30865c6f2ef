"""The benchmarks (`./run bench`): contestants side by side, every timed answer checked."""
