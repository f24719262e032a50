"""Kaizen's command line; see `python kaizen.py --help`."""

from pathlib import Path

from kaizen_components.cli import main

if __name__ == "__main__":
    raise SystemExit(main(home=Path(__file__).resolve().parent))
