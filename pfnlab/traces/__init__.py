"""Events, wherever they come from: files of others, our own files, workloads, memory."""
