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
    """The lines of a cart with their sums, what each costs with the coupon, shipping, and the total."""
    percent = percent_of(coupon)
    priced = []
    for line in lines:
        reduced = money(line["price"] * (100 - percent) / 100)
        priced.append(
            {
                "sku": line["sku"],
                "name": line["name"],
                "quantity": line["quantity"],
                "price": str(line["price"]),
                "reduced_price": str(reduced),
                "sum": str(line["price"] * line["quantity"]),
                "reduced_sum": str(reduced * line["quantity"]),
            }
        )
    subtotal = sum((Decimal(line["sum"]) for line in priced), Decimal(0))
    goods = sum((Decimal(line["reduced_sum"]) for line in priced), Decimal(0))
    shipping = Decimal(0) if not lines or goods >= FREE_SHIPPING_FROM else SHIPPING
    return {
        "lines": priced,
        "subtotal": str(money(subtotal)),
        "discount": str(money(subtotal - goods)),
        "shipping": str(money(shipping)),
        "total": str(money(goods + shipping)),
    }
