"""What a link shows: the element that it leads to, without what makes no sense twice."""

from bookkit.previews import previews

BODY = """
<p id="prose">Text.</p>
<div class="proof theorem admonition" id="thm-one"><p>One<a class="headerlink" href="#x">#</a></p>
<section id="content"><div class="math" id="equation-eq-one">\\(x < 1\\)</div></section></div>
<div class="math">\\(y\\)</div>
<figure id="fig-one"><img alt="a" src="../_images/a.svg"/><script>1</script>
<figcaption>One <p class="bookkit-provenance">cell 1</p></figcaption></figure>
"""


def test_only_what_can_be_referred_to_is_shown():
    found = previews(BODY)
    assert list(found) == ["thm-one", "equation-eq-one", "fig-one"]
    assert not any(mark in "".join(found.values()) for mark in ("id=", "headerlink", "script"))
    assert "cell 1" not in found["fig-one"]
    assert found["equation-eq-one"] == r'<div class="math">\(x &lt; 1\)</div>'
    assert found["equation-eq-one"] in found["thm-one"]
    assert 'src="../_images/a.svg"' in found["fig-one"]


def test_a_page_without_text_shows_nothing():
    assert previews("") == {}
