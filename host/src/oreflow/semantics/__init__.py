"""What raw text means, on every engine: records of csv, texts as values of a type, patterns of dates.

docs/reference/semantics.md in code, by the standard library alone. An engine reads most data by its own fast ways;
what these ways may take, and how all else is read, is said here once. Modules that read records import nothing
of oreflow but each other, so that an engine can send them to machines on which it is not installed.
"""
