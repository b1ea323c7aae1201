"""The pipeline: its declaration, its plan, and the run that carries rows through it."""
