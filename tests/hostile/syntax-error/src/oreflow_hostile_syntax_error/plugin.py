"""Has a module with broken syntax."""

# compiled here, since a file of this syntax would stop ruff
compile("def", "oreflow_hostile_syntax_error/broken.py", "exec")
