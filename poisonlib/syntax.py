"""A digest of parsed source code that does not depend on comments, docstrings, layout or the version of Python."""

import ast
import hashlib


def digest(tree: ast.AST) -> str:
    """SHA-256 of a syntax tree."""
    return hashlib.sha256(repr(_plain(tree)).encode()).hexdigest()


def _plain(node):
    """A syntax tree as nested tuples; empty fields are left out, as versions of Python differ in them."""
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value is not None and value != [] and name != "kind")
        return (type(node).__name__, *((name, _plain(value)) for name, value in fields))
    if isinstance(node, list):
        return tuple(_plain(each) for each in node if not _is_text(each))
    return node


def _is_text(node) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
