"""The notebooks: finding them, checking what they are given, and running them through papermill."""

from ._files import cells as cells
from ._files import folder as folder
from ._files import names as names
from ._files import parameters as parameters
from ._files import path as path
from ._files import read_parameters as read_parameters
from ._files import tagged as tagged
from ._files import title as title
from ._parameter import Parameter as Parameter
from ._parameter import check as check
from ._running import execute as execute
from ._running import lacking as lacking
from ._running import trials as trials
