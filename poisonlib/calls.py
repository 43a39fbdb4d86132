"""Choices as text: names and calls with named values, joined by ``+``. Nothing in the text is executed."""

import ast


def parse(text: str) -> list[tuple[str, dict]]:
    """``"mixup(k=4) + my.module.Noise"`` -> ``[("mixup", {"k": 4}), ("my.module.Noise", {})]``.

    Values are literals or fractions of numbers, such as 16/255. Raises ValueError for anything else.
    """
    try:
        return list(_calls(ast.parse(text, mode="eval").body))
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:  # as Python's parser does
        raise ValueError(f"{text[:200]!r}: write a name, or name(number=value, ...), joined by + ({error})") from None


def listed(text: str) -> list[str]:
    """``"mixup(k=3); my.module.Noise"`` -> ``["mixup(k=3)", "my.module.Noise"]``; [] where nothing is listed."""
    return [part.strip() for part in text.split(";") if part.strip()]


def _calls(node):
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield from _calls(node.left)
        yield from _calls(node.right)
    elif isinstance(node, ast.Call) and not node.args and all(keyword.arg for keyword in node.keywords):
        values = {keyword.arg: _literal(keyword.value) for keyword in node.keywords}
        if len(values) < len(node.keywords):
            raise ValueError("an argument is given twice")
        yield _dotted(node.func), values
    else:
        yield _dotted(node), {}


def _dotted(node) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if not isinstance(node, ast.Name):
        raise ValueError("not a name or a call with named numbers")
    return node.id


def _literal(node):
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        over, under = ast.literal_eval(node.left), ast.literal_eval(node.right)
        if isinstance(over, int | float) and isinstance(under, int | float) and under:
            return over / under
    return ast.literal_eval(node)
