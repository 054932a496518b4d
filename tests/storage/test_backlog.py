from storage.backlog import ENTRY_OVERHEAD_BYTES, Entry, Held, entry_bytes, rewritten, trim
from storage.frames import (
    FLAG_REWRITTEN,
    FLAG_SUPERSEDES,
    KIND_EXCHANGE,
    KIND_SCORE,
    BodyPacker,
    decode_exchange,
    encode_exchange,
)
from tests.storage.journal_kit import ORG

BODY = BodyPacker().pack(bytes(range(256)) * 4)


def exchange(sequence: int) -> Entry:
    return (sequence, KIND_EXCHANGE, 0, ORG, encode_exchange({"n": sequence}, BODY, []))


def score(sequence: int) -> Entry:
    return (sequence, KIND_SCORE, 0, ORG, b"s" * 50)


def held(*entries: Entry) -> Held:
    made = Held()
    for entry in entries:
        made.add(entry)
    return made


def summed(made: Held) -> bool:
    return made.bytes == sum(map(entry_bytes, (*made.bare, *made.full)))


def test_bodies_go_first_and_oldest_first_then_records() -> None:
    made = held(exchange(1), score(2), exchange(3), exchange(4))
    trim([made], made.bytes - 1)
    assert (made.bodies_dropped, made.records_dropped, len(made)) == (1, 0, 4)
    trim([made], made.bytes - len(BODY[0][2]) - 1)
    assert (made.bodies_dropped, made.records_dropped, len(made)) == (3, 0, 4)
    trim([made], 3 * ENTRY_OVERHEAD_BYTES)
    assert made.records_dropped == 2
    assert summed(made)
    kept = made.take_all()
    assert [entry[0] for entry in kept] == [3, 4]
    meta, request, _ = decode_exchange(kept[0][4])
    assert (meta["degraded"], request) == ("bodies dropped", [])
    assert made.bytes == 0


def test_copies_of_written_frames_go_before_unwritten_ones() -> None:
    written, queue = held(exchange(1), exchange(2)), held(exchange(3))
    trim([written, queue], queue.bytes)
    assert (len(written), len(queue), queue.bodies_dropped) == (0, 1, 0)


def test_a_limit_of_nothing_leaves_nothing() -> None:
    made = held(exchange(1), score(2))
    trim([made], 0)
    assert (len(made), made.bytes, made.records_dropped) == (0, 0, 2)


def test_the_order_of_sequences_survives_everything() -> None:
    made = held(exchange(5), score(6), exchange(7))
    made.strip_oldest()
    made.put_back([exchange(2), score(4)])
    made.put_back([exchange(1)])
    assert made.first_sequence() == 1
    assert summed(made)
    first = made.take(1)
    assert [entry[0] for entry in first + made.take_all()] == [1, 2, 4, 5, 6, 7]
    assert made.first_sequence() is None


def test_absorbing_keeps_the_counts() -> None:
    one, other = held(score(3)), held(exchange(1), exchange(2))
    other.strip_oldest()
    other.drop_oldest()
    one.absorb(other)
    assert (one.bodies_dropped, one.records_dropped) == (1, 1)
    assert [entry[0] for entry in one.take_all()] == [2, 3]


def test_an_unreadable_payload_is_dropped_whole_not_stripped() -> None:
    made = held((1, KIND_EXCHANGE, 0, ORG, b"\xc1 not MessagePack"))
    trim([made], 0)
    assert (made.bodies_dropped, made.records_dropped) == (0, 1)


def test_flags_of_a_second_writing() -> None:
    plain, superseding = score(1), (2, KIND_EXCHANGE, FLAG_SUPERSEDES, ORG, b"p")
    assert rewritten(plain)[2] == FLAG_REWRITTEN
    assert rewritten(rewritten(plain))[2] == FLAG_REWRITTEN
    assert rewritten(superseding)[2] == FLAG_SUPERSEDES
