"""What the integration tests are made of: processes, the rig, proxies, viewers and analysis of media."""

import os
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
RIG = REPO / "tests" / "rig"
CACHE = Path(
    os.environ.get("HAVEN_RIG_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "haven-live" / "rig"
)
BUILD = Path(os.environ.get("HAVEN_BUILD") or REPO / "build").resolve()

sys.path.insert(0, str(RIG))  # for pattern, which the clips are made with
