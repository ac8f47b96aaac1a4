"""A pool of processes that survives its workers, and the agenda of its tasks."""
