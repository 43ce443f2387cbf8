"""`python -m flows.cli`, which `./rpt` runs."""

from flows.cli import main

if __name__ == "__main__":
    main()
