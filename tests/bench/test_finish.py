"""How long the end of a recording takes that has run for ten hours: what waits for it is who stops it."""

import json
import subprocess
from pathlib import Path

import pytest
from havenlib.launcher import PYTHON
from measure import assert_goes_to_its_end

FINISH = Path(__file__).with_name("finish.py")
HOURS = 10
LIMIT = 1.5  # seconds in which a session must have the end of a file: it gives up then


@pytest.mark.parametrize("muxer", ["matroska", "mp4"])
def test_ten_hours_end_as_fast_as_a_minute(tmp_path, muxer):
    for hours in (1 / 60, HOURS):
        file = tmp_path / f"{muxer}-{hours:.2f}"
        out = subprocess.run([PYTHON, FINISH, muxer, str(hours), file], capture_output=True, text=True, timeout=1200)
        assert out.returncode == 0, out.stderr
        took, size = json.loads(out.stdout), file.stat().st_size
        print(f"\n{muxer}, {hours:.2f} h, {size / 1e6:.0f} MB: index {took['index']:.2f} s, sync {took['sync']:.2f} s")
        assert_goes_to_its_end(file, hours)
        assert took["index"] + took["sync"] < LIMIT
        file.unlink()
