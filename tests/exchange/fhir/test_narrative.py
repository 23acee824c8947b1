import time

import pytest

from exchange.fhir.narrative import is_narrative


@pytest.mark.parametrize(
    "text",
    [
        "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>Ana</b> &amp; &lt;script&gt; onload='x'</p></div>",
        '<div xmlns="http://www.w3.org/1999/xhtml" lang="es" xml:lang="es">ñandú</div>',
        "<div><table class='g'><tr><td colspan='2' style='color: red'>1 &gt; 0</td></tr></table></div>",
        "<div><a href='Patient/1'>a</a><img src='#1' alt='a &gt; b'/><br/></div>",
        "\n<div><!-- a comment --><h3>a</h3></div>\n",
        '<h:div xmlns:h="http://www.w3.org/1999/xhtml"><h:p>a</h:p></h:div>',
        "<div/>",
        "<div><img src='data:image/png;base64,QUE='/></div>",
        "<div style='background: url(#a); color: red'/>",
    ],
)
def test_plain_formatting_is_a_narrative(text):
    assert is_narrative(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "text",
        "<p>no div</p>",
        "<div>unclosed",
        "<div></div><div></div>",
        "<div>a & b</div>",
        "<div>&nbsp;</div>",
        "<div>\x00</div>",
        "<div>\x1b</div>",
        "<div>\ud800</div>",
        "<div><script>alert(1)</script></div>",
        "<div><x:script xmlns:x='http://www.w3.org/1999/xhtml'/></div>",
        "<div><style>a</style></div>",
        "<div><iframe src='http://a'/></div>",
        "<div><form><input/></form></div>",
        "<div><svg onload='x'/></div>",
        "<div><img alt='>' onerror='x'/></div>",
        "<div onclick='x'>a</div>",
        "<div><a href='javascript:x'>a</a></div>",
        "<div><a href=' java\nscript:x'>a</a></div>",
        "<div><a href='java&#115;cript:x'>a</a></div>",
        "<div><a href='data:text/html,x'>a</a></div>",
        "<div><img src='data:image/svg+xml,x'/></div>",
        "<div style='background: url(JavaScript:x)'/>",
        "<div style='width: exp/**/ression(x)'/>",
        "<div style='width: \\65xpression(x)'/>",
        "<div x:onclick='a' xmlns:x='urn:x'/>",
        "<x:div/>",
        "<div xmlns='urn:x'/>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><svg xmlns='http://www.w3.org/2000/svg'/></div>",
        "<div xmlns='http://www.w3.org/1999/xhtml'><p xmlns=''/></div>",
        "<?xml version='1.0'?><div/>",
        "\ufeff<div/>",
        "<!DOCTYPE div><div/>",
        '<!DOCTYPE d [<!ENTITY a "b">]><div>&a;</div>',
        "<!DOCTYPE d SYSTEM 'file:///etc/passwd'><div/>",
        "<?php x ?><div/>",
        "<div><?xml-stylesheet href='x'?></div>",
    ],
)
def test_everything_else_is_not(text):
    assert not is_narrative(text)


def test_depth_and_size_take_bounded_time():
    start = time.perf_counter()
    assert not is_narrative("<div>" * 200_000 + "</div>" * 200_000)
    assert not is_narrative("<div " * 200_000 + "</div>")
    assert is_narrative("<div>" + "<p>a</p>" * 100_000 + "</div>")
    assert time.perf_counter() - start < 5
