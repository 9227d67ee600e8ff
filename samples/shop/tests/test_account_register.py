"""Registering: one account for an address, and no weak passwords."""

import unittest

from shopkit import ShopTest


class Register(ShopTest):
    def test_an_address_once(self):
        email, password = self.account()
        again = self.shop.post("/api/accounts", {"email": email.upper(), "password": password})
        self.ok(again, 409)

    def test_weak_passwords(self):
        for weak in ("short 1", "onlyletters", "12345678901", ""):
            with self.subTest(password=weak):
                self.ok(self.shop.post("/api/accounts", {"email": "weak@example.org", "password": weak}), 422)

    def test_addresses_that_are_none(self):
        for wrong in ("nobody", "a@b", "a b@example.org", "@example.org"):
            with self.subTest(email=wrong):
                self.ok(self.shop.post("/api/accounts", {"email": wrong, "password": "correct horse 7"}), 422)


if __name__ == "__main__":
    unittest.main()
