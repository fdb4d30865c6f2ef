"""What this machine really does: measurements, opt-in, never asked by a test or a claim."""
