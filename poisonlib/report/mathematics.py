"""LaTeX between dollars in an HTML page as MathML, which browsers show without a script, a font or a network."""

import html
import re
from collections.abc import Iterator

TAGS = re.compile(r"(<[^>]*>)")
MATHS = re.compile(r"\$\$(.+?)\$\$|(?<![\\$\w])\$(?=[^\s$])((?:(?!\n\s*\n)[^$])*[^\s$\\])\$(?![\w$])", re.DOTALL)
VERBATIM = {"pre", "code", "script", "style", "textarea", "math"}  # what stands in these is no mathematics


def typeset(page: str) -> str:
    """The page with ``$...$`` and ``$$...$$`` as MathML; what is no LaTeX that can be read stays as it is."""
    return "".join(_parts(page))


def _parts(page: str) -> Iterator[str]:
    """The page in order: its tags as they are, its text typeset where it is not verbatim."""
    inside = []
    for part in TAGS.split(page):
        if part.startswith("<"):
            _step(inside, part)
            yield part
        else:
            yield part if inside else MATHS.sub(_mathml, part)


def _step(inside: list[str], tag: str) -> None:
    """Note that a verbatim element begins or ends."""
    name = re.match(r"</?\s*([a-zA-Z]*)", tag)[1].lower()
    if name not in VERBATIM or tag.endswith("/>"):
        return
    if tag.startswith("</"):
        inside[:] = inside[:-1]
    else:
        inside.append(name)


def _mathml(found: re.Match) -> str:
    from latex2mathml.converter import convert

    display, inline = found.groups()
    try:
        made = convert(html.unescape(display or inline).strip(), display="block" if display else "inline")
    except Exception:  # of the converter: what is no mathematics, such as two prices, is left as it was
        return found[0]
    return made.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "")
