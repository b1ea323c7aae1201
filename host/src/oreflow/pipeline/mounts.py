"""Whether a folder lies on this machine, or on others that are reached over a network."""

from __future__ import annotations

import re
from pathlib import Path

_TABLE = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    {
        *("afs", "beegfs", "ceph", "cifs", "gfs2", "glusterfs", "gpfs", "lustre", "nfs", "nfs4", "orangefs", "smb3"),
        *("smbfs", "wekafs"),
        *(
            f"fuse.{name}"
            for name in (
                *("alluxio-fuse", "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "fuse_dfs", "gcsfuse", "glusterfs"),
                *("goofys", "juicefs", "mount-s3", "mountpoint-s3", "moosefs", "rclone", "s3fs", "sshfs"),
            )
        ),
    }
)
"""Types of file systems whose files other machines have as well, as Linux names them."""
_ESCAPED = re.compile(r"\\([0-7]{3})")


def on_network(folder: Path, table: Path = _TABLE) -> bool:
    """Whether a folder, or where it will be made, is on a network file system; False where the system does not say.

    `table` is a mount table in the form of proc(5), `/proc/PID/mountinfo`.
    """
    try:
        lines = table.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    kinds: dict[Path, str] = {}
    for line in lines:  # the last one mounted at a place is the one that is seen
        about, _, kind = line.partition(" - ")
        point = _ESCAPED.sub(lambda octal: chr(int(octal[1], 8)), about.split()[4])
        kinds[Path(point)] = kind.split()[0]
    place = folder.resolve()
    return next((kinds[point] in _NETWORK for point in (place, *place.parents) if point in kinds), False)
