"""The channel `email`: a mail for each notice, by an SMTP server."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any

from oreflow.contract import AlertChannel, DeclarationError, Notice, OreflowError, Problem
from oreflow.secrets import without

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_SUBJECT = 200  # characters


class Email(AlertChannel):
    """Raises DeclarationError where its options do not go together; nothing is connected to."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._security = options.get("security", "starttls")
        self._host = options["host"]
        self._port = options.get("port", _PORTS[self._security])
        self._user, self._password = options.get("username"), options.get("password")
        if (self._user is None) != (self._password is None):
            missing = "password" if self._password is None else "username"
            raise DeclarationError([Problem("a user logs in with a password", (missing,), "say both, or neither")])
        if self._user and self._security == "none":
            what = "a password would be sent for everybody to read"
            raise DeclarationError([Problem(what, ("security",), "say starttls or tls")])
        self._from = _address(options["from"], ("from",))
        self._to = [_address(each, ("to", index)) for index, each in enumerate(options["to"])]

    def send(self, notice: Notice, seconds: float) -> None:
        """See `AlertChannel.send`."""
        mail = EmailMessage()
        mail["Subject"] = " ".join(notice.title.split())[:_SUBJECT]
        mail["From"], mail["To"] = self._from, self._to
        mail["Date"], mail["Message-ID"] = formatdate(localtime=True), make_msgid(domain=self._from.domain)
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer of an absent person wanted
        mail.set_content(notice.text)
        try:
            with self._connection(seconds) as server:
                if self._security == "starttls":
                    server.starttls(context=ssl.create_default_context())
                if self._user and self._password:
                    server.login(self._user, self._password)
                refused = server.send_message(mail)
        except (smtplib.SMTPException, OSError) as error:
            raise OreflowError(self._fault(error)) from None
        if refused:
            raise OreflowError(f"the mail server {self._host} does not take mail for {', '.join(refused)}")

    def _connection(self, seconds: float) -> smtplib.SMTP:
        if self._security == "tls":
            context = ssl.create_default_context()
            return smtplib.SMTP_SSL(self._host, self._port, timeout=seconds, context=context)
        return smtplib.SMTP(self._host, self._port, timeout=seconds)

    def _fault(self, error: Exception) -> str:
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            why = f"it does not take mail for {', '.join(error.recipients)}"
        elif isinstance(error, smtplib.SMTPResponseException):
            said = (
                error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else error.smtp_error
            )
            why = f"it answers {error.smtp_code} {said}"
        elif isinstance(error, TimeoutError):
            why = "it does not answer in time"
        else:
            why = f"{getattr(error, 'strerror', None) or error}"
        text = f"the mail server {self._host}:{self._port}: {' '.join(why.split())}"
        return without(text, [self._password] if self._password else [])


def _address(text: str, path: tuple[str | int, ...]) -> Address:
    """An address of mail, with a name before it where one is said: `Night shift <night@shop.example>`."""
    name, _, rest = text.rpartition("<")
    plain = rest.removesuffix(">") if name or rest.endswith(">") else text
    try:
        found = Address(display_name=name.strip().strip('"'), addr_spec=plain.strip())
    except (ValueError, IndexError, HeaderParseError):
        found = None
    if found is None or not found.username or not found.domain:
        raise DeclarationError([Problem(f"{text!r} is no address of mail", path, "write it as somebody@example.org")])
    return found
