"""A mail server for tests: every mail is one line of JSON in a file. Recipients choose how they are answered."""

import json
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Handler:
    def __init__(self, path):
        self.path = path

    async def handle_RCPT(self, server, session, envelope, address, options):
        for code in ("550", "450", "421"):
            if address.startswith(code):
                return f"{code} {address} is not welcome"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "encrypted": server.transport.get_extra_info("ssl_object") is not None,
            "login": session.auth_data,
            "content": envelope.content.decode("utf-8", "replace"),
        }
        for code in ("554", "552", "451"):
            if code in mail["content"].split("\r\n\r\n")[0]:
                return f"{code} not this one"
        with open(self.path, "a") as file:
            file.write(json.dumps(mail) + "\n")
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"kinfold", b"swordfish")
    return AuthResult(success=right, handled=False, auth_data="kinfold" if right else None)


mode, port, path, certificate, key = sys.argv[1:6]
context = None
if mode != "plain":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)


class Server(Controller):
    def factory(self):
        starttls = context if mode == "starttls" else None
        return SMTP(
            self.handler,
            hostname="mail.test",
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_require_tls=False,
            auth_required=mode != "plain",
            authenticator=authenticate,
            enable_SMTPUTF8=True,
        )


wrapped = context if mode == "wrapped" else None
server = Server(Handler(path), hostname="127.0.0.1", port=int(port), ssl_context=wrapped)
server.start()
print("ready", flush=True)
# Ends with whoever has started it.
sys.stdin.read()
