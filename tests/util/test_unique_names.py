from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tbgrid.util.unique_names import unique_name


def test_a_name_that_is_free_stays() -> None:
    assert unique_name("cat", []) == "cat"
    assert unique_name("cat", ["cats", "Cat"]) == "cat"


def test_one_that_is_taken_gets_the_first_free_number() -> None:
    assert unique_name("cat", ["cat"]) == "cat 2"
    assert unique_name("cat", ["cat", "cat 2", "cat 4"]) == "cat 3"
    assert unique_name("cat", {"cat"}, separator="-") == "cat-2"
    assert unique_name("Cat", {"cat", "cat 2"}, ignore_case=True) == "Cat 3"


@given(st.lists(st.sampled_from(["a", "A", "a 2", "A 2", "b"]), max_size=12), st.booleans())
def test_all_names_differ(names: list[str], ignore_case: bool) -> None:
    taken: set[str] = set()
    for name in names:
        unique = unique_name(name, taken, ignore_case=ignore_case)
        assert unique.startswith(name)
        taken.add(unique.lower() if ignore_case else unique)
    assert len(taken) == len(names)
