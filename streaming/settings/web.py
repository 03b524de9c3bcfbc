"""The settings of the page, of metrics and health."""

from __future__ import annotations

from pydantic import Field, SecretStr, model_validator

from maskcast.errors import UsageError, reason_of
from streaming.settings.table import Table
from streaming.settings.values import FilePath, Hosts, Listen, Prefix, host_and_port

# Characters of the page's password: it can be tried 20 times a minute, and what is longer is no password.
MIN_PASSWORD, MAX_PASSWORD = 8, 1000


class HttpSettings(Table):
    """The page, metrics and health."""

    listen: Listen = Field(
        default="127.0.0.1:9464",
        description='host:port of the page, `/metrics`, `/healthz` and `/readyz`; `""` switches all off. Where other '
        "machines reach it, the page needs a password.",
    )

    hosts: Hosts = Field(
        default=(),
        description="Names under which it is asked, besides `localhost`, that in `listen` and IP addresses; others are "
        "refused.",
    )
    password: SecretStr | None = Field(
        default=None,
        min_length=MIN_PASSWORD,
        max_length=MAX_PASSWORD,
        description=f"What the page asks for, at least {MIN_PASSWORD} characters; best as `${{NAME}}`.",
    )
    password_file: FilePath | None = Field(
        default=None, description="File whose first line is the password, in place of `password`."
    )
    read_only: bool = Field(default=False, description="Let the page show, but change nothing.")
    prefix: Prefix = Field(
        default="", description='Path under which a reverse proxy serves the page, such as `"/cameras"`.'
    )

    @model_validator(mode="after")
    def _fits(self) -> HttpSettings:
        if self.password is not None and self.password_file is not None:
            raise ValueError("the password is given twice, in password and in password_file")
        return self

    def secret(self) -> str | None:
        """The password, from where it is; None if there is none.

        Raises:
            UsageError: its file cannot be read, or holds none.
        """
        if self.password_file is None:
            return self.password.get_secret_value() if self.password else None
        where = "http.password_file"
        try:
            with self.password_file.open("rb") as file:
                line = file.readline(4 * MAX_PASSWORD + 2)
            found = line.decode("utf-8-sig").rstrip("\r\n")  # Windows' Notepad marks it
        except OSError as error:
            raise UsageError(f"cannot be read: {reason_of(error)}", where=where) from None
        except UnicodeDecodeError:
            raise UsageError("its first line is no text in UTF-8", where=where) from None
        if not MIN_PASSWORD <= len(found) <= MAX_PASSWORD:
            what = f"its first line is the password, of {MIN_PASSWORD} to {MAX_PASSWORD} characters"
            raise UsageError(what, where=where)
        return found

    def address(self) -> tuple[str, int] | None:
        """Host and port; None if it is switched off."""
        return host_and_port(self.listen)
