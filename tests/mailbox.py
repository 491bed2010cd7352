"""A mailbox behind a real SMTP server (aiosmtpd), for the tests of alerts."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from local_stack.processes import wait_until


@dataclass
class Mailbox:
    """What an SMTP server has taken."""

    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))  # type: ignore[arg-type]
        return "250 OK"

    def about(self, subject: str) -> list[EmailMessage]:
        return [mail for mail in self.mails if mail["Subject"] == subject]

    def wait_for(self, subject: str) -> EmailMessage:
        wait_until(lambda: self.about(subject), f"a mail {subject!r} has come", timeout_seconds=60)
        (mail,) = self.about(subject)
        return mail


def words(mail: EmailMessage) -> str:
    """The text of a mail."""
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())
