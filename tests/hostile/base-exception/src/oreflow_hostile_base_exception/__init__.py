"""Raises what is no Exception, only a BaseException, when it is imported."""
