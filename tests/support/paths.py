"""Where the project and the public test data are."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Public photos, odd files and a pretrained network: data/photos, data/odd, models/...
DATA = Path(os.environ.get("TBGRID_TEST_DATA", ROOT.parent / "shared"))
