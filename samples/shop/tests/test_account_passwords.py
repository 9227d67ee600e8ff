"""Passwords may be long, and in any script; nothing of them comes back."""

import unittest

from shopkit import ShopTest


class Passwords(ShopTest):
    def test_any_script(self):
        for password in ("пароль-длинный-7", "密码密码密码密码密码7!", "correct horse battery staple " * 4):
            with self.subTest(password=password):
                email, _ = self.account(password)
                answer = self.ok(self.shop.post("/api/sessions", {"email": email, "password": password}), 201)
                self.assertNotIn(password, answer.text)

    def test_one_character_less_is_wrong(self):
        email, password = self.account()
        self.ok(self.shop.post("/api/sessions", {"email": email, "password": password[:-1]}), 401)


if __name__ == "__main__":
    unittest.main()
