"""What all tables of the settings file have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

# Longest time that a setting may name.
DAY_SECONDS = 86_400.0


class Table(BaseModel):
    """A table of the file: it cannot be changed, and knows no keys but its own."""

    # Strict: TOML has types, so "yes" is no boolean and "5" no number.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )
