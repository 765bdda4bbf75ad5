"""The bundled reasoner's prompts, and those for any model where it learned none: it says something there, too."""

from __future__ import annotations

from dataclasses import replace

from widthwise.models import formats

ASKED = replace(formats.REASONER, name="asked", prompts=formats.GENERIC.prompts | formats.REASONER.prompts)
