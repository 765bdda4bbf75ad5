"""The one place where the version is written; the package's metadata are built from it."""

VERSION = "0.1.0"
