"""``python -m widthwise``: the command line."""

from widthwise.cli.app import main

if __name__ == "__main__":
    main()
