"""Lines of keys and items in a TOML text."""

from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from exchange.policy.toml_lines import line_of, lines_of

TEXT = """# a comment with [brackets] and = signs
top = 1
[one]
"quoted key" = "a # no comment, [no] array"
list = [
  "first",  # the first ]
  "second", "third",
  [1, 2],
]
dotted.key = '''
several
lines'''
after = 2
[[many]]
a = 1
[many.sub]
b = [1, "x,y"]
[[many]]
a = 2
[many.sub]
b = 3
"""


def test_keys_items_and_tables_have_their_lines():
    lines = lines_of(TEXT)
    told = {
        ("top",): 2, ("one",): 3, ("one", "quoted key"): 4, ("one", "list"): 5, ("one", "list", 0): 6,
        ("one", "list", 1): 7, ("one", "list", 2): 7, ("one", "dotted", "key"): 10, ("one", "after"): 13,
        ("many", 0): 14, ("many", 0, "a"): 15, ("many", 0, "sub", "b"): 17, ("many", 0, "sub", "b", 1): 17,
        ("many", 1): 18, ("many", 1, "a"): 19, ("many", 1, "sub", "b"): 21,
    }  # fmt: skip
    assert {path: lines.get(path) for path in told} == told


def test_what_has_no_line_has_that_of_what_holds_it():
    lines = lines_of(TEXT)
    assert line_of(lines, ("one", "list", 9)) == 5
    assert line_of(lines, ("one", "missing")) == 3
    assert line_of(lines, ("nowhere", 1, "x")) == 1


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["1", '"a"', '["x", "y"]', "[\n 1,\n 2 # two\n]", "{ a = 1 }", "true", "'''a\nb'''"]
            ),
            st.sampled_from(["", "  # why = [", "\n\n# [not.a.table]"]),
        ),
        max_size=12,
    )
)
def test_every_key_that_is_read_has_the_line_it_stands_on(parts):
    text = "".join(f"k{number} = {value}{tail}\n" for number, (value, tail) in enumerate(parts))
    lines = lines_of(text)
    rows = text.split("\n")
    for key in tomllib.loads(text):
        assert rows[lines[key,] - 1].startswith(f"{key} = ")
