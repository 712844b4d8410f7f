"""The m3ter API: a session with one organization, how one is opened, and what is known of its operations."""
