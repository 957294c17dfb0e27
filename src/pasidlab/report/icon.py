"""The icon of every page: the two copies, one of them lit. A data: link, so that no browser asks for /favicon.ico."""

from __future__ import annotations

from urllib.parse import quote

_BOX = "<rect x='1' y='{}' width='14' height='6' rx='1.5' fill='{}'/>"
_SVG = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>{_BOX.format(1, '#57606a')}{_BOX.format(9, '#cf222e')}</svg>"
ICON = "data:image/svg+xml," + quote(_SVG, safe="/:='")
"""The address of the icon (RFC 2397)."""
