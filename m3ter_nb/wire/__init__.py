"""How requests travel: which hosts are trusted, over what connections, how long to wait, when to try again."""
