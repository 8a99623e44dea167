"""The kinds of pages, one module each; `site.build` has the table of them."""
