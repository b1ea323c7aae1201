"""The Java that Spark needs, looked at without Spark."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from oreflow.contract import StepError

_OLDEST_JAVA = 17
_MEND = "Spark needs Java 17 or later; apt-get install openjdk-17-jre-headless, or set JAVA_HOME"


def check_java() -> str:
    """Find out in a moment what Spark's own start would say in fifty lines; gives which Java there is.

    Raises:
        StepError: there is none, or one that is too old.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    if java is None:
        raise StepError(f"there is no Java: {_MEND}")
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    except OSError:
        raise StepError(f"there is no Java at {java}: {_MEND}") from None
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr)
    if found is None or int(found[1]) < _OLDEST_JAVA:
        version = f"Java {found[1]}" if found else "no Java that says its version"
        raise StepError(f"{java} is {version}: {_MEND}")
    return f"{java} is Java {found[1]}"
