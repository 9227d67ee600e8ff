"""Logging in and out."""

import unittest

from shopkit import ShopTest


class Login(ShopTest):
    def test_logged_in_is_known(self):
        email = self.logged_in()
        self.assertEqual(self.ok(self.shop.get("/api/me"))["email"], email)

    def test_the_address_in_capitals(self):
        email, password = self.account()
        self.ok(self.shop.post("/api/sessions", {"email": email.upper(), "password": password}), 201)

    def test_after_logging_out_the_session_is_worth_nothing(self):
        self.logged_in()
        self.ok(self.shop.delete("/api/sessions"), 204)
        self.ok(self.shop.get("/api/me"), 401)

    def test_two_sessions_are_two(self):
        email, password = self.account()
        tokens = {
            self.ok(self.shop.post("/api/sessions", {"email": email, "password": password}), 201)["token"]
            for _ in range(2)
        }
        self.assertEqual(len(tokens), 2)


if __name__ == "__main__":
    unittest.main()
