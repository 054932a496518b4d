"""TLS towards providers: contexts by settings, and handshake errors in words a user can act on.

The environment has no say here (SSL_CERT_FILE, SSLKEYLOGFILE): what is trusted is the system's
roots and `ca_file`, and nothing is ever trusted without being verified.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CONTEXTS_MAX = 64  # each holds the parsed roots: about 1 MB

# Debian and Alpine; Fedora and Red Hat; SUSE; BSD and macOS.
SYSTEM_ROOTS = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)

# OpenSSL's verify codes that more trust would cure, in contrast to a wrong name or a past date.
_UNTRUSTED = frozenset({2, 18, 19, 20, 21, 24, 26, 27})
_WRONG_NAME = frozenset({62, 63, 64})


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """`client_key` may be None when the key lies in the file of `client_cert`."""

    ca_file: str | None = None
    client_cert: str | None = None
    client_key: str | None = None


_contexts: dict[TlsSettings, ssl.SSLContext] = {}


def client_context(settings: TlsSettings) -> ssl.SSLContext:
    """The context for `settings`; reads files, so first calls belong off the loop (10-40 ms).

    Raises ValueError with one line that names the option and the file.
    """
    context = _contexts.get(settings)
    if context is None:
        context = read_context(settings)
        if len(_contexts) >= CONTEXTS_MAX:
            _contexts.clear()
        _contexts[settings] = context
    return context


def read_context(settings: TlsSettings) -> ssl.SSLContext:
    """The same, always read anew."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # Some builds of Python take a cut connection for an announced end (3.11.2 of Debian).
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    # A ca_file may name an intermediate or the server's own certificate.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.set_alpn_protocols(["http/1.1"])
    _load_system_roots(context)
    if settings.ca_file is not None:
        try:
            context.load_verify_locations(settings.ca_file)
        except OSError as error:
            raise ValueError(f"ca_file: {_file_fault(settings.ca_file, error)}") from None
    if settings.client_cert is not None:
        load_key_pair(context, "client_cert", settings.client_cert, settings.client_key)
    return context


def default_context() -> ssl.SSLContext:
    """For mail and for what commands fetch: Python's defaults, and the system's roots also where
    OpenSSL looks elsewhere, as the binary's does on another distribution. Reads files."""
    context = ssl.create_default_context()
    _load_system_roots(context)
    return context


def _load_system_roots(context: ssl.SSLContext) -> None:
    roots = next((path for path in SYSTEM_ROOTS if path.is_file()), None)
    if roots is not None:
        context.load_verify_locations(roots)


def load_key_pair(
    context: ssl.SSLContext, option: str, certificate: str | Path, key: str | Path | None
) -> None:
    """Certificate chain and key, which must fit. Raises ValueError with one line."""
    try:
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except OSError as error:
        for path in (certificate, key or certificate):
            if not _readable(path):
                raise ValueError(f"{option}: {path} cannot be read") from None
        if isinstance(error, ssl.SSLError) and error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(
                f"{option}: the key in {key or certificate} does not belong to the "
                f"certificate in {certificate}"
            ) from None
        pair = f"{certificate} and {key}" if key else f"{certificate}"
        raise ValueError(f"{option}: no PEM certificate with its key in {pair}") from None
    except _EncryptedKeyError:
        raise ValueError(f"{option}: the key in {key or certificate} is encrypted") from None


def replace_contexts(read: Mapping[TlsSettings, ssl.SSLContext]) -> None:
    """Use these from now on; files of others are read again at their next connection (SIGHUP)."""
    _contexts.clear()
    _contexts.update(read)


def tls_failure_text(error: ssl.SSLError, host: str) -> str:
    """What went wrong in a handshake with `host`, and what to do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        # From a file of ours the message may come without these.
        code, why = getattr(error, "verify_code", 0), getattr(error, "verify_message", "")
        if code in _WRONG_NAME:
            return f"the certificate shown is not for {host}: {why}"
        cure = (
            "; if it comes from a private CA, name that CA's file in ca_file"
            if code in _UNTRUSTED
            else ""
        )
        return f"the certificate of {host} is not accepted: {why}{cure}"
    reason = getattr(error, "reason", None) or ""
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"):
        return f"{host} does not speak TLS on this port: use http:// if that is meant"
    if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
        return f"{host} ended the TLS handshake ({reason}): does it ask for a client_cert?"
    if reason in ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"):
        return f"{host} speaks only TLS older than 1.2"
    return f"TLS with {host} failed: {reason or error}"


class _EncryptedKeyError(Exception):
    pass


def _refuse_password() -> str:
    # Without this OpenSSL would ask on the terminal, and a server would hang at its start.
    raise _EncryptedKeyError


def _readable(path: str | Path) -> bool:
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False


def _file_fault(path: str, error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{path} holds no PEM certificate"
    return f"{path} cannot be read: {error.strerror}"
