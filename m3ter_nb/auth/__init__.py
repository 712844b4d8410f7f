"""Who logs in and with what: credentials and their places, the token, the grant that gets one, its renewal."""
