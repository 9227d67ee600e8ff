"""Guessing a password locks the account for a moment; its owner gets in again afterwards."""

import sys
import unittest

from shopkit import ShopTest


class Lockout(ShopTest):
    def test_guessing_locks(self):
        email, password = self.account()
        for guess in range(1, 31):
            status = self.shop.post(
                "/api/sessions", {"email": email, "password": f"guess {guess} horse"}
            ).status
            if status in (423, 429):
                break
            self.assertEqual(status, 401)
        print(f"note: stopped after {guess} guesses", file=sys.stderr)
        self.assertLess(guess, 30, "nobody stopped the guessing")
        self.eventually(
            lambda: self.shop.post("/api/sessions", {"email": email, "password": password}).status, 201
        )


if __name__ == "__main__":
    unittest.main()
