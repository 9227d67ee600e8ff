"""A body that is too large is refused before it is read, and harms nobody."""

import unittest

from shopkit import ShopTest


class LargeBody(ShopTest):
    def test_too_large(self):
        huge = {"email": "a@example.org", "password": "x" * 70_000}
        self.ok(self.shop.post("/api/accounts", huge), 413)

    def test_large_but_fine(self):
        email, _ = self.account("a 7" + "x" * 20_000)
        self.assertIn("@", email)

    def test_others_are_served(self):
        self.ok(self.customer().get("/healthz"))


if __name__ == "__main__":
    unittest.main()
