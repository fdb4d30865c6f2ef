"""What the twin runs on this machine: interpreted loops, locks, a reserved range, system calls."""
