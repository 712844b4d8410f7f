"""The body of an answer: whole, decompressed, and never longer than was allowed."""

from __future__ import annotations

import io
import sys
import zlib
from typing import TYPE_CHECKING

from urllib3 import exceptions as u3

from m3ter_nb.wire.bounds import TooLong

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from urllib3.response import BaseHTTPResponse

__all__ = ["ACCEPTED_ENCODING", "read_body"]

#: What is asked for; anything else is not decompressed.
ACCEPTED_ENCODING = "gzip"
# Bytes that are read, or decompressed, at a time.
_PIECE = 65_536
# Bytes that are set aside on a server's word: more than a page of the largest size has.
_ON_TRUST = 1_000_000
# What zlib calls a gzip header and trailer around the data.
_GZIP = 16 + zlib.MAX_WBITS


def read_body(response: BaseHTTPResponse, longest: int) -> bytes:
    """Read the body of an answer.

    Piece by piece: read at once, any length of the server's own invention would be set aside in memory, and a few
    bytes of gzip would become gigabytes before anybody counted them.

    Args:
        response: its body still to be read.
        longest: bytes, decompressed.

    Raises:
        TooLong: it is longer; what came is thrown away, and the connection closed.
        urllib3.exceptions.DecodeError: its compression is broken, or one that was not asked for.
        urllib3.exceptions.HTTPError, OSError: it broke off.
    """
    headers = response.headers
    # Looked for first: of a name that is not there, these headers raise an error to themselves.
    encoding = headers["Content-Encoding"].strip().lower() if "Content-Encoding" in headers else ""
    length = getattr(response, "length_remaining", None)
    if not encoding and length is not None and 0 <= length <= min(_ON_TRUST, longest):
        return response.read(decode_content=False)
    pieces: Iterable[bytes] = response.stream(_PIECE, decode_content=False)
    if encoding in ("gzip", "x-gzip"):
        pieces = pieces if sys.platform == "emscripten" else _unpack(pieces)  # a browser has done so
    elif encoding not in ("", "identity"):
        raise u3.DecodeError("a compression that was not asked for")
    body = io.BytesIO()  # its value is no copy, where that of a list of pieces is one
    for piece in pieces:
        if body.tell() + len(piece) > longest:
            response.close()
            raise TooLong
        body.write(piece)
    return body.getvalue()


def _unpack(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress gzip (RFC 1952), its members one after another, a bounded piece at a time."""
    unpacker = zlib.decompressobj(_GZIP)
    begun = False
    try:
        for packed in pieces:
            rest = packed
            while rest:
                begun = True
                if unpacker.eof:
                    unpacker = zlib.decompressobj(_GZIP)
                yield unpacker.decompress(rest, _PIECE)
                rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
    except zlib.error:
        raise u3.DecodeError("broken compression") from None
    if begun and not unpacker.eof:
        raise u3.DecodeError("compression that breaks off")
