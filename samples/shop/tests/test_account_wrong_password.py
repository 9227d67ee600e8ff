"""A wrong password and an unknown address are told apart by nobody."""

import unittest

from shopkit import ShopTest


class WrongPassword(ShopTest):
    def test_same_words_for_both(self):
        email, _ = self.account()
        wrong = self.ok(self.shop.post("/api/sessions", {"email": email, "password": "wrong horse 7"}), 401)
        unknown = self.ok(
            self.shop.post("/api/sessions", {"email": "nobody@example.org", "password": "wrong horse 7"}), 401
        )
        self.assertEqual(wrong.json, unknown.json)

    def test_no_session_no_entry(self):
        for token in (None, "", "guessed", "x" * 200):
            self.shop.token = token
            answer = self.ok(self.shop.get("/api/me"), 401)
            self.assertEqual(answer.headers["WWW-Authenticate"], "Bearer")


if __name__ == "__main__":
    unittest.main()
