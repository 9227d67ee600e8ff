"""The printed receipt adds up: the lines to the subtotal, and that to what was charged."""

import sys
import unittest
from decimal import Decimal

from shopkit import ShopTest


class Receipt(ShopTest):
    def test_it_adds_up(self):
        order = self.ok(self.buy(self.cart(TEA_05=11, GAR_01=3, HOU_05=3, coupon="SAVE15")), 201)
        printed = self.ok(self.shop.get(f"/api/orders/{order['id']}/receipt"))
        print(printed.text, file=sys.stderr)
        self.assertIn("text/plain", printed.headers["Content-Type"])
        rows = {row.split()[0]: Decimal(row.split()[-1]) for row in printed.text.splitlines()[1:]}
        bought = sum(Decimal(row.split()[-1]) for row in printed.text.splitlines() if " x " in row)
        self.assertEqual(bought, rows["Subtotal"])
        discount = (bought * 15 / 100).quantize(Decimal("0.01"), "ROUND_HALF_UP")
        wanted = bought - discount + rows["Shipping"]
        self.assertEqual(rows["Total"], wanted, f"{bought} less 15 %, plus {rows['Shipping']} for shipping")


if __name__ == "__main__":
    unittest.main()
