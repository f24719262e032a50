"""Selftest: a few checks of the engine with the standard library's unittest, for a machine without the test packages.

python -m unittest support_scripts.selftest
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kaizen_components import hashing, op, redaction
from kaizen_components.ops import _index
from kaizen_components.store import ledger


class Selftest(unittest.TestCase):
    """The parts that everything else rests on."""

    def test_every_operation_of_the_index_loads_from_its_family(self) -> None:
        for code, entry in _index.OPS.items():
            self.assertEqual(op.load(code).aliases, entry.aliases)

    def test_canonical_json_is_that_of_rfc_8785(self) -> None:
        self.assertEqual(hashing.canonical({"b": 1.0, "a": "é", "c": [None, True]}), '{"a":"é","b":1,"c":[null,true]}')

    def test_a_chain_hash_depends_on_everything_before_it(self) -> None:
        first, second = hashing.sha256("first"), hashing.sha256("second")
        forward = ledger.chain_hash(ledger.chain_hash(ledger.START, first), second)
        backward = ledger.chain_hash(ledger.chain_hash(ledger.START, second), first)
        self.assertNotEqual(forward, backward)

    def test_a_key_is_taken_for_a_secret_and_a_hash_is_not(self) -> None:
        self.assertTrue(redaction.scan("AKIA" + "Q7RZ2M5KX8WP4TLN"))
        self.assertFalse(redaction.scan(hashing.sha256("no secret")))


if __name__ == "__main__":
    unittest.main()
