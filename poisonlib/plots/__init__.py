"""Pictures of records and image sets: pure functions that return matplotlib figures. Colours are safe for the colour-blind."""

from .audit import audit_cells as audit_cells
from .audit import audit_errors as audit_errors
from .certified import Panel as Panel
from .certified import certified as certified
from .forest import forest as forest
from .images import panels as panels
from .images import shares as shares
from .privacy import brackets as brackets
from .privacy import dropped_assumptions as dropped_assumptions
from .privacy import readings as readings
from .privacy import tightness as tightness
from .privacy import width_curves as width_curves
from .recipes import recipes as recipes
from .results import rates as rates
from .results import roc_curves as roc_curves
from .results import transfer as transfer
from .style import save as save
from .style import show as show
from .style import style as style
from .survival import survival_figure as survival_figure
from .survival import trigger_survival as trigger_survival
from .trade_off import doses as doses
from .trade_off import trade_off as trade_off
