"""The suite itself: every row and vector has a test or a reason, and every reason still belongs to something."""

import ast
import re
from pathlib import Path

from not_yet import NOT_YET, ROWS_WITHOUT_A_TEST, VECTORS_WITHOUT_A_TEST

HERE = Path(__file__).resolve().parent


def names_in(file: str) -> set[str]:
    """Names of the test functions in a file."""
    tree = ast.parse((HERE / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def numbers(file: str, word: str) -> set[int]:
    return {int(found[1]) for name in names_in(file) if (found := re.match(rf"test_{word}_(\d\d)_", name))}


def test_every_entry_of_what_is_not_there_yet_names_a_test_that_exists():
    for key in NOT_YET:
        file, name = key.split("::")
        assert name.split("[")[0] in names_in(file), key


def test_every_row_of_table_5_has_a_test_or_a_reason():
    tested = numbers("test_table5.py", "row")
    assert tested | set(ROWS_WITHOUT_A_TEST) == set(range(1, 47))
    assert not tested & set(ROWS_WITHOUT_A_TEST)


def test_every_golden_vector_has_a_test_or_a_reason():
    tested = numbers("test_golden_vectors.py", "vector")
    assert tested | set(VECTORS_WITHOUT_A_TEST) == set(range(1, 12))
    assert not tested & set(VECTORS_WITHOUT_A_TEST)
