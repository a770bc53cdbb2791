"""What the line under a figure says: the slice of the chapter that made the figure."""

from bookkit import dependencies
from bookkit.provenance import Provenance, provenances

CELLS = """
from overparam import fit, min_norm_law, prune, simulate
import bookkit
```

```{code-cell} ipython3
n, replicates = 20, 30
unused = prune
```

```{code-cell} ipython3
def experiment(rng):
    unused = rng.normal()
    return fit(unused, n)


rng = "not this one"
first = min_norm_law(n)
first = simulate(experiment, replicates, bookkit.seed("two", "first"))
other = simulate(experiment, 99, bookkit.seed("two", "other"))
data = {}
data["mean"] = first
```

```{code-cell} ipython3
---
mystnb:
  figure:
    name: fig-two
---
bookkit.record("fig-two", plot(data), data)
"""


def test_only_what_the_figure_depends_on_is_named(edit, book):
    edit.cell("chapters/02-two.md", CELLS)
    found = provenances(next(c for c in book.chapters if c.stem == "02-two"))
    assert found == {"fig-two": Provenance(5, ("fit", "simulate"), ("two / first",), (30,))}


def test_a_figure_without_randomness_has_no_seed(book):
    found = provenances(book.chapters[0], library="toy")
    assert found["fig-one-line"].seeds == found["fig-one-line"].replicates == ()
    assert found["fig-one-line"].functions == ("line",)


def test_chapters_build_on_what_they_refer_to(edit, book):
    assert dependencies.references(book)["02-two"] == {"01-one": 2}
    assert not dependencies.references(book)["01-one"]
    lines = dependencies.table(book)
    assert "  - {doc}`1 </chapters/01-one>`" not in lines  # two references are not many
    edit.cell("chapters/02-two.md", "# {ref}`ch-one`")
    book = type(book)(edit.root)
    assert "  - {doc}`1 </chapters/01-one>`" in dependencies.table(book)
