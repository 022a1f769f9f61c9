"""One-time codes as authenticators make them (RFC 6238: SHA-1, 30 seconds, 6 digits)."""

import binascii

import pyotp


class OneTime:
    """A secret in base32; raises ValueError, which never holds it, where it is none or too short."""

    def __init__(self, secret: str) -> None:
        try:
            self.totp = pyotp.TOTP(secret.replace(" ", "").upper())
        except (binascii.Error, ValueError):
            raise ValueError(
                "no base32 of at least 14 bytes (23 letters); trader notify CONFIG --new-totp makes one"
            ) from None

    def matches(self, code: str, counter: int) -> bool:
        """Whether a code is that of a time step; the comparison takes the same time for every code."""
        return pyotp.utils.strings_equal(code, self.totp.generate_otp(counter))

    def is_same(self, other: "OneTime") -> bool:
        """Whether another has the same secret, and so the same codes."""
        return pyotp.utils.strings_equal(self.totp.secret, other.totp.secret)


def new_secret() -> str:
    """A secret of 20 bytes from the system's source of randomness, in base32."""
    return pyotp.random_base32(32)


def enrolment(secret: str, name: str) -> str:
    """The address that an authenticator reads, often from a QR code; it holds the secret."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name="signal-trader")
