"""The numbers that are taken, the same by every door, and checks of Python arguments."""
