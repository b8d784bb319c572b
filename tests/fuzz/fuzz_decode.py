"""Coverage-guided fuzzing of what reads the fleet's bytes: `make fuzz`, beside `make test`.

The first byte of an input chooses a topic or the reader of codes. Whatever raises is a defect: the input is
written to `crash-*` in the folder where it ran.
"""

import sys

import atheris

with atheris.instrument_imports(include=["ingest", "stock_tracker"]):
    from ingest.batch import Delivery, Van, decode, elements_of, refusal
    from ingest.messages import SUBSCRIPTIONS
    from stock_tracker import barcodes

TOPICS = [topic.replace("+", "van-001") for topic in SUBSCRIPTIONS]
VANS = {"van-001": Van(1, 1, "van-001", {})}
NOW = 1_790_000_000_000


def one_input(data: bytes) -> None:
    """Read one input."""
    choice, rest = (data[0] if data else 0) % (len(TOPICS) + 1), data[1:]
    if choice == len(TOPICS):
        for aim_id in (None, "]C1", "]d2", "]E0"):
            barcodes.look_up(rest, {}, aim_id)
            barcodes.sscc(rest, aim_id)
        return
    delivery = Delivery(TOPICS[choice], rest)
    batch = decode([delivery], VANS, NOW)
    for rejection in batch.rejections:
        assert rejection.reason
    elements_of(delivery)
    refusal(delivery, "words")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
