"""`python -m oreflow` is `oreflow`."""

from oreflow.cli import main

if __name__ == "__main__":
    main()
