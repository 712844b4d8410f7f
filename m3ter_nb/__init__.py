"""m3ter_nb: log in to m3ter from a notebook."""
