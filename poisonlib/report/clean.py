"""The HTML of a notebook without what could act in the reader's browser: an executed notebook may come from elsewhere."""

import re

MATHS = {
    *("math", "semantics", "mrow", "mi", "mo", "mn", "mtext", "mspace", "mfrac", "msqrt", "mroot", "msup", "msub", "msubsup"),
    *("munder", "mover", "munderover", "mtable", "mtr", "mtd", "mstyle", "mpadded", "mphantom", "menclose"),
}
SPACING = {"accent", "display", "displaystyle", "fence", "form", "linethickness", "lspace", "rspace", "mathvariant", "maxsize"} | {
    *("minsize", "movablelimits", "scriptlevel", "separator", "stretchy", "width", "height", "depth"),
    *("columnalign", "columnlines", "columnspacing", "rowlines", "rowspacing"),
}
LOOKS = {"color", "background-color", "font-size", "font-weight", "line-height", "overflow-x", "padding", "text-align", "width"}
GONE = {"script", "style", "svg", "iframe", "object", "noscript", "template", "textarea", "title"}  # with all that is in them
PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]*")


def clean(page: str) -> str:
    """The page with text, tables, lists, links, pictures that it holds itself, and MathML; without scripts, forms and frames."""
    import nh3

    attributes = nh3.ALLOWED_ATTRIBUTES | {name: SPACING for name in MATHS} | {f"h{level}": {"id"} for level in range(1, 7)}
    return nh3.clean(
        page,
        tags=nh3.ALLOWED_TAGS | MATHS,
        attributes=attributes | {"*": {"class", "style", "lang", "title"}},
        attribute_filter=_kept,
        clean_content_tags=GONE,
        filter_style_properties=LOOKS,
        url_schemes={"http", "https", "mailto", "data"},
    )


def _kept(tag: str, attribute: str, value: str) -> str | None:
    """The value of an attribute; None for a picture from the network, and for data behind a link."""
    if attribute == "src":
        return value if PICTURE.fullmatch(value) else None
    return None if attribute == "href" and value.lstrip().lower().startswith("data:") else value
