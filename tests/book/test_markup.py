"""Text that Sphinx would swallow without a word is found."""

import pytest

from bookkit.markup import check_markup

THEOREM = """\
````{prf:theorem} Title
:label: thm-a

Text with a formula

$$
x = y
$$ (eq-a)

```{evidence} proved
```
````

$$ a = b $$ (eq-b)

In a paragraph
$$
x
$$
a formula without a label needs no empty line.

```{code-cell} ipython3
---
tags: [hide-input]
---
text = "```{note}"
$$
```

```
plain ```` code {note}
```
"""


def test_nothing_to_complain_about():
    assert list(check_markup(THEOREM.splitlines())) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "rule", "advice"),
    [
        (
            "formula\n\n$$",
            "formula\n$$",
            5,
            "equation-label",
            "empty line above, or the label eq-a",
        ),
        ("````\n\n$$ a", "\n\n$$ a", 1, "fence", "````{prf:theorem} Title is never closed"),
        ("Title", "of {prf:ref}`thm-b`", 1, "fence", "opens nothing: no backtick may follow"),
        (
            "```{evidence}",
            "````{evidence}",
            10,
            "fence",
            "is inside {prf:theorem} Title: give that",
        ),
    ],
)
def test_mistakes(old, new, line, rule, advice):
    assert old in THEOREM
    finding = next(check_markup(THEOREM.replace(old, new).splitlines()))
    assert (finding.line, finding.rule) == (line, rule)
    assert advice in finding.advice
