"""Kaizen's command line; see `python kaizen.py --help`."""

from pathlib import Path

from kaizen_components.start import main

if __name__ == "__main__":
    main(home=Path(__file__).resolve().parent)
