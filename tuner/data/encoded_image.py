"""One encoded image (JPEG, PNG, ...) to pixels."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from tuner.text.errors import RequestError

if TYPE_CHECKING:
    from PIL.Image import Image

# No others: Pillow would run Ghostscript on what calls itself EPS.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")


class UnreadableImageError(RequestError):
    """What is no image; the message names it."""


def decoded(where: str, file: Path | BytesIO) -> "Image":
    """The image in RGB, whatever its colours were. Raises UnreadableImageError.

    By Pillow, which lets Python's lock go: torchvision's decoder takes as long, and is
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
        # Pillow would name the file object.
        unknown = isinstance(error, UnidentifiedImageError)
        reason = "its format is not known" if unknown else error
        raise UnreadableImageError(
            f"{where}: not a readable image ({reason}); replace or remove it"
        ) from error
