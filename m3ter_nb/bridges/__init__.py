"""The login in other tools' hands: the official SDK, plain requests, the text of a cURL or Python request."""
