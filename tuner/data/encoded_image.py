"""Decodes one image (JPEG, PNG, ...)."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.text.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image

# Only these: Pillow would run Ghostscript on a file that claims to be EPS.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


class UnreadableImageError(RequestError):
    """A file that is not an image; the message names it."""


def decoded(where: str, file: Path | BytesIO) -> "Image":
    """The image, converted to RGB; `where` names it in errors. Raises UnreadableImageError.

    Pillow releases the GIL while it decodes. torchvision's decoder takes as long and is
    deprecated.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file, formats=_FORMATS) as image:
            if image.mode.startswith(("I", "F")):
                # Pillow would clip these to white instead of scaling them.
                raise ValueError("it has more than 8 bits per channel; convert it to 8")
            return image.convert("RGB")
    # Pillow: SyntaxError for a broken PNG, ValueError for a broken header.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        # Pillow's message would name the file object.
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "unknown format" if unknown else error
        raise UnreadableImageError(
            f"{where}: not a readable image ({reason}); replace or remove it"
        ) from error
