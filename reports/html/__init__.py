"""Parts of a page: markup, styles, charts, tables, formats."""
