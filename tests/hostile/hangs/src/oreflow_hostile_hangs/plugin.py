"""Sleeps for an hour when it is imported."""

import time

time.sleep(3600)
