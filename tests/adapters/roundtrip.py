"""Facts as they come back from where they are kept."""

from trader.adapters.fact_codec import decode, encode


def through_text(facts):
    return [decode(encode(fact)) for fact in facts]
