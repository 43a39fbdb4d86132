"""How panels look, in light and in dark: the style sheet, and a script for what ipywidgets leaves out."""

import html

import ipywidgets

# The picture's colours are those of JupyterLab's theme, whose variables other front ends may lack.
SHEET = """<style>
.poisonlib-panel { --poisonlib-ink: var(--jp-content-font-color1, #1a1a1a); --poisonlib-rule: var(--jp-border-color1, #ccc);
  --poisonlib-ground: var(--jp-layout-color0, #fff); }
body[data-jp-theme-light="false"] .poisonlib-panel { --poisonlib-blue: #4da3dc; }
.poisonlib-panel .poisonlib-picture svg { display: block; }
.poisonlib-panel .poisonlib-dim svg { opacity: 0.3; }
.poisonlib-panel p { line-height: 1.4; margin: 0.3em 0; max-width: 60em; }
.poisonlib-panel p.busy { font-style: italic; border-left: 4px solid var(--poisonlib-rule); padding-left: 0.6em; }
.poisonlib-panel p.error { font-weight: 600; border-left: 4px solid #d55e00;
  padding: 0.3em 0.6em; background: rgba(213, 94, 0, 0.14); }
.poisonlib-panel .poisonlib-name { font-weight: 600; }
</style>"""

# ipywidgets does not connect the label of a slider with the slider, so screen readers do not read it. The sliders appear a little
# later than this script runs.
NAME_SLIDERS = """
const name = (tries) => {
    for (const slider of document.querySelectorAll(".poisonlib-panel .widget-slider"))
        slider.querySelector("[role=slider]")?.setAttribute("aria-label", slider.querySelector("label").textContent);
    for (const button of document.querySelectorAll(".poisonlib-panel .widget-play button"))
        button.setAttribute("aria-label", button.title || "play");
    if (tries) setTimeout(name, 200, tries - 1);
};
name(10);
"""
GRID = {"grid_template_columns": "repeat(auto-fill, minmax(21em, 1fr))", "grid_gap": "0 1em", "width": "100%"}
SIDES = {"grid_template_columns": "repeat(auto-fit, minmax(min(26em, 100%), 1fr))", "grid_gap": "0 1.5em", "width": "100%"}
ROW = {"flex_flow": "row wrap", "width": "100%"}


def behind() -> ipywidgets.HBox:
    """The style sheet and the script, in a box that is not seen."""
    script = {"output_type": "display_data", "data": {"application/javascript": NAME_SLIDERS}, "metadata": {}}
    hidden = ipywidgets.Output(outputs=(script,), layout={"display": "none"})
    return ipywidgets.HBox([ipywidgets.HTML(SHEET), hidden], layout={"height": "0", "overflow": "hidden"})


def paragraph(words: str, kind: str = "") -> str:
    """A line of text: "" for what a picture shows, "busy" for work that is being done, "error" for why there is no new picture."""
    role = "alert" if kind == "error" else "status"
    return f'<p role="{role}" class="{kind}">{html.escape(words)}</p>'
