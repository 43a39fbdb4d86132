"""A digest of parsed source code that does not depend on comments, docstrings, layout or the version of Python."""

import ast
import hashlib


def digest(tree: ast.AST) -> str:
    """SHA-256 of a syntax tree."""
    return hashlib.sha256(_plain(tree).encode()).hexdigest()


def _plain(node) -> str:
    """A syntax tree as the text of nested tuples; empty fields are left out, as versions of Python differ in them."""
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields if name != "kind")
        parts = [f"({name!r}, {_plain(value)})" for name, value in fields if value is not None and value != []]
        return _tuple([repr(type(node).__name__), *parts])
    if isinstance(node, list):
        return _tuple([_plain(each) for each in node if not _is_text(each)])
    return repr(node)


def _tuple(parts: list[str]) -> str:
    """The text of a tuple of which these are the parts' texts."""
    return f"({parts[0]},)" if len(parts) == 1 else f"({', '.join(parts)})"


def _is_text(node) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
