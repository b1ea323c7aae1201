"""Has a module with broken syntax."""
