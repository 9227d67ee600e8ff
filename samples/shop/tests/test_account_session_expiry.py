"""A session ends by itself when its time is over."""

import unittest

from shopkit import ShopTest


class SessionExpiry(ShopTest):
    def test_a_short_session_ends(self):
        email, password = self.account()
        short = self.shop.post("/api/sessions", {"email": email, "password": password, "ttl_s": 0.2})
        self.shop.token = self.ok(short, 201)["token"]
        self.eventually(lambda: self.shop.get("/api/me").status, 401)

    def test_another_session_goes_on(self):
        email = self.logged_in()
        self.assertEqual(self.ok(self.shop.get("/api/me"))["email"], email)


if __name__ == "__main__":
    unittest.main()
