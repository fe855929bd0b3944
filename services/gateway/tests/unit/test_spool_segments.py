"""A file that was torn or damaged loses the records that it hit, and no other."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.usage.segments import Damage, framed, records

payloads = st.lists(st.binary(max_size=60), min_size=1, max_size=12)


def read(content: bytes) -> list[bytes]:
    return [payload for _, payload in records(content)]


@given(payloads=payloads, data=st.data())
def test_a_torn_tail_costs_the_torn_record_only(payloads, data):
    content = b"".join(map(framed, payloads))
    cut = data.draw(st.integers(0, len(content)))
    whole, end = [], 0
    for payload in payloads:
        end += len(framed(payload))
        if end <= cut:
            whole.append(payload)

    damage = Damage()
    assert [payload for _, payload in records(content[:cut], damage=damage)] == whole
    assert damage.bytes_skipped == cut - sum(len(framed(payload)) for payload in whole)


@given(payloads=payloads, data=st.data())
def test_garbled_bytes_cost_the_records_that_they_lie_in(payloads, data):
    content = bytearray(b"".join(map(framed, payloads)))
    start = data.draw(st.integers(0, len(content) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=40))[: len(content) - start]
    before = bytes(content)
    content[start : start + len(noise)] = noise
    untouched, position = [], 0
    for payload in payloads:
        end = position + len(framed(payload))
        if before[position:end] == bytes(content[position:end]):
            untouched.append(payload)
        position = end

    assert read(bytes(content)) == untouched


@given(payloads=payloads)
def test_reading_may_begin_behind_any_record(payloads):
    content = b"".join(map(framed, payloads))
    offsets = [0, *(offset for offset, _ in records(content))]

    assert [[payload for _, payload in records(content, start=offset)] for offset in offsets] == [
        payloads[number:] for number in range(len(payloads) + 1)
    ]
