"""What is not there is said to be not there, in JSON, with the right code."""

import unittest

from shopkit import ShopTest


class NotFound(ShopTest):
    def test_unknown_addresses(self):
        for path in ("/api/nothing", "/api/products/XXX-00", "/api/carts/c_0", "/api/orders/o_0"):
            with self.subTest(path=path):
                answer = self.ok(self.shop.get(path), 404)
                self.assertIn("error", answer.json)
                self.assertIn("application/json", answer.headers["Content-Type"])

    def test_wrong_method_names_the_right_one(self):
        answer = self.ok(self.shop.delete("/api/products"), 405)
        self.assertEqual(answer.headers["Allow"], "GET")

    def test_broken_json(self):
        self.ok(self.shop.call("POST", "/api/accounts", b"{oops"), 400)

    def test_a_missing_field_is_named(self):
        self.assertIn(
            "password", self.ok(self.shop.post("/api/accounts", {"email": "a@b.example"}), 422)["error"]
        )

    def test_the_shop_lives_on(self):
        self.ok(self.shop.get("/healthz"))


if __name__ == "__main__":
    unittest.main()
