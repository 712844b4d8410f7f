"""How values show themselves, in text and in HTML; they know values, not logins."""
