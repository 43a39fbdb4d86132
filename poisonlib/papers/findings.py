"""The findings of a paper as a table: each sentence whole, with what the paper's own cells and our trials say of it."""

from collections.abc import Sequence

import pandas

from .claims import Finding
from .verdicts import Verdict

LEFT = [{"selector": "th, td", "props": "text-align: left; vertical-align: top; white-space: normal; padding: 0.2em 0.6em"}]


class Whole(pandas.DataFrame):
    """A table of sentences, which notebooks show uncut and aligned to the left; as plain text, a paragraph for each row."""

    def _repr_html_(self) -> str:
        return self.style.format(escape="html").hide(axis="index").set_uuid("findings").set_table_styles(LEFT).to_html()

    def __repr__(self) -> str:
        rows = ("\n".join(f"{name}: {text}" for name, text in row.items() if text) for row in self.to_dict("records"))
        return "\n\n".join(rows)


def frame(findings: Sequence[tuple[Finding, Verdict]]) -> Whole:
    """A row for each finding: the paper's sentence, whether its own cells agree, what was checked, the verdict, why, and notes."""
    return Whole([_row(finding, said) for finding, said in findings])


def _row(each: Finding, said: Verdict) -> dict[str, str]:
    return {
        "place": each.place,
        "the paper says": each.quote,
        "its own cells": "bear it out" if each.holds else "contradict it",
        "checked": each.checked,
        "ours": said.word,
        "because": said.text,
        "note": each.note,
    }
