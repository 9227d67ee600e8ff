"""Twelve customers browse at once, and each sees the same shop."""

import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

from shopkit import ShopTest


class Crowd(ShopTest):
    def test_everybody_sees_the_same(self):
        customers = [self.customer() for _ in range(12)]

        def browse(shop):
            return tuple(shop.get("/api/products", page=page).text.count('"sku"') for page in (1, 2, 4))

        with ThreadPoolExecutor(len(customers)) as pool:
            seen = list(pool.map(browse, customers))
        print(f"note: {len(seen)} customers, {3 * len(seen)} pages", file=sys.stderr)
        self.assertEqual(set(seen), {(10, 10, 5)})


if __name__ == "__main__":
    unittest.main()
