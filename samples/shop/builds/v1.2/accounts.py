"""Accounts and sessions: passwords are kept salted, sessions end, guessing is slowed down."""

import hashlib
import hmac
import os
import re
import secrets
import threading
import time

from errors import ShopError

MAX_FAILURES = 3
LOCKED_S = 0.25
MAX_LOGINS = 6  # of one account, within the window
WINDOW_S = 0.4


class Accounts:
    def __init__(self):
        self._users = {}
        self._sessions = {}
        self._failures = {}
        self._logins = {}
        self._lock = threading.Lock()

    def register(self, email, password):
        if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
            raise ShopError(422, "that is no e-mail address")
        if len(password) < 10 or password.isalpha() or password.isdigit():
            raise ShopError(422, "a password has 10 characters, not letters or digits alone")
        salt = os.urandom(16)
        with self._lock:
            if email.casefold() in self._users:
                raise ShopError(409, "there is an account with that address")
            self._users[email.casefold()] = (salt, _hashed(password, salt))
        return {"email": email.casefold()}

    def login(self, email, password, ttl_s):
        email = email.casefold()
        now = time.monotonic()
        with self._lock:
            recent = [at for at in self._logins.get(email, ()) if now - at < WINDOW_S]
            if len(recent) >= MAX_LOGINS:
                raise ShopError(429, "too many logins", {"Retry-After": "1"})
            self._logins[email] = [*recent, now]
            failures, since = self._failures.get(email, (0, 0.0))
            if failures >= MAX_FAILURES and now - since < LOCKED_S:
                raise ShopError(423, "the account is locked for a moment")
        salt, known = self._users.get(email, (b"", b""))
        if not known or not hmac.compare_digest(_hashed(password, salt), known):
            with self._lock:
                self._failures[email] = (self._failures.get(email, (0, 0))[0] + 1, now)
            raise ShopError(401, "wrong address or password")
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._failures.pop(email, None)
            self._sessions[token] = (email, now + ttl_s)
        return {"token": token, "expires_in": ttl_s}

    def user_of(self, token):
        email, ends = self._sessions.get(token, (None, 0.0))
        if email is None or time.monotonic() >= ends:
            self._sessions.pop(token, None)
            raise ShopError(401, "log in first", {"WWW-Authenticate": "Bearer"})
        return email

    def logout(self, token):
        self.user_of(token)
        self._sessions.pop(token, None)


def _hashed(password, salt):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 2_000)
