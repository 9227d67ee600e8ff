"""What a cart costs. All sums are exact decimals: a receipt must add up to the cent."""

from decimal import ROUND_HALF_UP, Decimal

from errors import ShopError

CENT = Decimal("0.01")
COUPONS = {"SAVE10": 10, "SAVE15": 15, "HALF": 50}
FREE_SHIPPING_FROM = Decimal("50.00")
SHIPPING = Decimal("4.90")


def money(amount):
    return amount.quantize(CENT, ROUND_HALF_UP)


def percent_of(coupon):
    if coupon is None:
        return 0
    if coupon not in COUPONS:
        raise ShopError(422, f"there is no coupon {coupon}")
    return COUPONS[coupon]


def price(lines, coupon=None):
    """The lines of a cart with their sums, the discount on all of them, shipping, and the total."""
    subtotal = sum((line["price"] * line["quantity"] for line in lines), Decimal(0))
    discount = money(subtotal * percent_of(coupon) / 100)
    goods = subtotal - discount
    shipping = Decimal(0) if not lines or goods >= FREE_SHIPPING_FROM else SHIPPING
    return {
        "lines": [
            {
                "sku": line["sku"],
                "name": line["name"],
                "quantity": line["quantity"],
                "price": str(line["price"]),
                "sum": str(line["price"] * line["quantity"]),
            }
            for line in lines
        ],
        "subtotal": str(money(subtotal)),
        "discount": str(discount),
        "shipping": str(money(shipping)),
        "total": str(money(goods + shipping)),
    }
