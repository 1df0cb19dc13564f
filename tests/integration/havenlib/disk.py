"""A disk that fails or hangs when it is told to; tests/common/disk-faults.c does it."""

import errno

from . import BUILD

LIBRARY = BUILD / "tests" / "common" / "libdisk-faults.so"


class Disk:
    """Everything below a directory, for processes that have env in their environment."""

    def __init__(self, directory, control):
        self.directory, self._control = directory, control
        self.env = {"LD_PRELOAD": str(LIBRARY), "HAVEN_DISK_FAULTS": str(control)}

    def fail(self, call, number=errno.EIO):
        """call: "read", "write", "sync" or "name", all of which fail from now on with that errno."""
        new = self._control.with_suffix(".new")
        new.write_text(f"{call} {number} {self.directory}\n")
        new.rename(self._control)

    def hang(self, call):
        """call: as for fail(); none is done until mend()."""
        self.fail(call, number=0)

    def mend(self):
        self._control.unlink()
