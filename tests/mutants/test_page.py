#!/usr/bin/env python3
"""Which rows of docs/MUTANTS.md stay when others are written."""

import os
import sys
import tempfile
import types
import unittest

sys.dont_write_bytecode = True
import mutants

OPTIONS = types.SimpleNamespace(seeds=7)


def caught(name):
    mutant = mutants.Mutant(name, 1)
    mutant.file, mutant.says = "actors/some.c", "what is wrong"
    mutant.old, mutant.new, mutant.expect = "a + b", "a - b", "is not whole"
    mutant.checkers, mutant.caught_by, mutant.after = ["sim", "unit.test_x"], "sim", "seed 3, 1 s"
    return mutant


class Page(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="holdfast-page-")
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "MUTANTS.md")
        self.every = [caught("first"), caught("second")]
        mutants.write_file(self.path, "")
        mutants.write_page(self.path, self.every, self.every, OPTIONS)

    def text(self):
        with open(self.path, encoding="utf-8") as file:
            return file.read()

    def test_rows_when_nothing_is_tried_then_they_stay(self):
        before = self.text()
        self.assertIn("**Caught 2 of 2**", before)
        mutants.write_page(self.path, self.every, [], OPTIONS)
        self.assertEqual(self.text(), before)

    def test_row_when_what_it_is_of_has_changed_then_it_is_not_tried_yet(self):
        before = self.text()
        for field, value in (("file", "actors/other.c"), ("says", "something else"),
                             ("old", "a + c"), ("new", "a * b"), ("expect", "is too much"),
                             ("expect", None), ("checkers", ["sim"]),
                             ("checkers", ["unit.test_x", "sim"])):
            with self.subTest(field=field, value=value):
                mutants.write_file(self.path, before)
                changed = caught("second")
                setattr(changed, field, value)
                mutants.write_page(self.path, [self.every[0], changed], [], OPTIONS)
                self.assertIn(mutants.row(self.every[0]), self.text())
                self.assertIn(mutants.columns(changed) + "not tried yet | | |", self.text())
                self.assertIn("**Caught 1 of 1**", self.text())
                self.assertIn("; 1 not tried yet.", self.text())

    def test_row_when_it_is_tried_again_then_it_is_of_that_run(self):
        changed = caught("second")
        changed.new = "a * b"
        every = [self.every[0], changed]
        mutants.write_page(self.path, every, [changed], OPTIONS)
        self.assertIn("**Caught 2 of 2**", self.text())
        self.assertEqual(set(mutants.rows_of(self.path, every)), {"first", "second"})


if __name__ == "__main__":
    unittest.main()
