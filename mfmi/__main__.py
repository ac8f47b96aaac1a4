"""``python -m mfmi``."""

from mfmi.cli.main import main

if __name__ == "__main__":
    main()
