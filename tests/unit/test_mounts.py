"""A lake on a network file system is known by the mount table of the system."""

from __future__ import annotations

from pathlib import Path

import pytest

from oreflow.pipeline.mounts import on_network

TABLE = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw - proc proc rw
30 21 0:40 / /mnt/team rw shared:5 master:1 - nfs4 server:/export rw,vers=4.2
31 30 8:2 / /mnt/team/scratch rw - xfs /dev/sdb1 rw
32 21 0:41 / /mnt/with\\040blank rw - fuse.s3fs s3fs rw
33 21 0:42 / /mnt/twice rw - ext4 /dev/sdc1 rw
34 21 0:43 / /mnt/twice rw - cifs //server/share rw
35 21 0:44 / /mnt/disk rw - fuseblk /dev/sdd1 rw
"""


@pytest.mark.parametrize(
    ("folder", "remote"),
    [
        ("/srv/lake", False),
        ("/mnt/team", True),
        ("/mnt/team/lake/not/made/yet", True),
        ("/mnt/team/scratch/lake", False),
        ("/mnt/teamwork", False),
        ("/mnt/with blank/lake", True),
        ("/mnt/twice/lake", True),
        ("/mnt/disk/lake", False),
    ],
)
def test_the_innermost_mount_decides(folder, remote, tmp_path):
    table = tmp_path / "mountinfo"
    table.write_text(TABLE)
    assert on_network(Path(folder), table) is remote


def test_a_folder_of_this_machine_is_not_on_a_network(tmp_path):
    assert not on_network(tmp_path)


def test_a_system_that_does_not_say_has_local_folders(tmp_path):
    assert not on_network(tmp_path, tmp_path / "there is none")
