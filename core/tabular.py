"""Values that are also tables, and those that can be drawn: what data frames and notebooks make of them."""

from __future__ import annotations

import logging
from typing import Any

from widthwise.core import notebook
from widthwise.core.brief import Brief
from widthwise.core.errors import UsageError
from widthwise.core.plain_json import well_formed_values

_log = logging.getLogger(__name__)


class Tabular(Brief):
    """A value with a table: ``table`` has its columns, from which any data frame can be made."""

    __slots__ = ()

    def table(self) -> dict[str, list[Any]]:
        """The columns by name, all of the same length, of plain values; None or NaN if unknown."""
        raise NotImplementedError

    def to_arrow(self) -> Any:
        """The table as a ``pyarrow.Table``; unknown values are null."""
        import pyarrow

        columns = well_formed_values(self.table())
        return pyarrow.table({name: pyarrow.array(column, from_pandas=True) for name, column in columns.items()})

    def to_pandas(self) -> Any:
        """The table as a ``pandas.DataFrame``; raises ``UsageError`` if pandas is not installed."""
        try:
            import pandas
        except ImportError:
            raise UsageError(
                "to_pandas needs pandas, which is not installed: pip install pandas (to_arrow and table do without)"
            ) from None
        return pandas.DataFrame(well_formed_values(self.table()))

    def _repr_html_(self) -> str:
        return notebook.heading(repr(self)) + notebook.table(self.table())


class Plotted(Tabular):
    """A table that can also be drawn; a notebook shows both."""

    __slots__ = ()

    def plot(self) -> Any:
        """A matplotlib figure, which needs no display; a notebook shows it."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        return super()._repr_html_() + self._picture()

    def _picture(self) -> str:
        from widthwise.core.drawing import picture

        try:
            return picture(self.plot())
        except UsageError as error:
            _log.info("%s is not drawn: %s", type(self).__name__, error)
            return ""
