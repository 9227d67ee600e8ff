"""An unchanged page is not sent twice."""

import unittest

from shopkit import ShopTest


class Caching(ShopTest):
    def test_not_modified(self):
        first = self.ok(self.shop.get("/api/categories"))
        again = self.shop.call("GET", "/api/categories", headers={"If-None-Match": first.headers["ETag"]})
        self.ok(again, 304)
        self.assertEqual(again.data, b"")

    def test_another_page_has_another_tag(self):
        tags = [
            self.ok(self.shop.get("/api/products", q=q)).headers["ETag"] for q in ("tea", "coffee", "bread")
        ]
        self.assertEqual(len(set(tags)), 3)


if __name__ == "__main__":
    unittest.main()
