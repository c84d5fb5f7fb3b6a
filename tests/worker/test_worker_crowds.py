# SPDX-License-Identifier: Apache-2.0
"""What crowds and hostile peers can take from a worker, and what they cannot: places, connections in a minute, memory."""

import resource
import socket
import struct
import threading
import time

import pytest

import channel_client as cc
import harness
from harness import BINARY, TEXT, eventually


# --- Crowds that never ask: half-open.h ---

def test_of_one_address_the_oldest_that_has_not_asked_makes_room_for_the_next(start):
    worker = start(max_per_client=1, handshake_timeout=60)
    crowd = [worker.connect() for _ in range(16)]
    elsewhere = worker.connect("127.0.0.2")
    last = worker.connect()
    status, headers, body = crowd[0].response()
    assert status == 503 and int(headers["retry-after"]) > 0 and "at once" in body
    crowd[0].receive_end()
    last.handshake()
    elsewhere.handshake()
    assert not any(peer.has_data(0) for peer in crowd[1:])
    assert worker.control.counters()["refused"] == 1


def test_of_all_addresses_the_oldest_that_has_not_asked_makes_room_for_the_next(start):
    worker = start(max_clients=20, max_per_client=1, handshake_timeout=60)
    sources = [f"127.0.{n // 16}.{n % 200 + 1}" for n in range(1024)]
    crowd = [worker.connect(source) for source in sources]
    eventually(lambda: cc.open_descriptors(worker.pid) > 1024)
    assert not crowd[0].has_data(0)
    newcomers = [worker.connect(f"127.1.0.{n + 1}") for n in range(10)]
    for peer in newcomers:
        peer.handshake()
    assert [peer.response()[0] for peer in crowd[:10]] == [503] * 10
    assert not any(peer.has_data(0) for peer in crowd[10:])


def test_with_few_descriptors_those_who_have_not_asked_give_theirs(start):
    worker = start(configure=False)
    resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (200, 200))
    worker.control.send(cc.CONFIGURE, 1, [worker.listener.fileno()],
                        **{**harness.FAST, "max_clients": 1000, "max_per_client": 1, "handshake_timeout": 60})
    worker.channel = worker.control.attach(1)
    crowd = [worker.connect(f"127.0.0.{n % 250 + 1}") for n in range(400)]
    for n in range(5):
        worker.connect(f"127.1.0.{n + 1}").handshake()
    assert cc.open_descriptors(worker.pid) <= 200
    for peer in crowd:
        peer.sock.close()


# --- Who comes too often: visitors.h ---

def knock(worker, source="127.0.0.1"):
    peer = worker.connect(source)
    try:
        peer.send(peer.request())
        status, headers, _ = peer.response(body=False)
    except (AssertionError, ConnectionError):
        return 0, 0
    finally:
        peer.sock.close()
    return status, int(headers.get("retry-after", 0))


def test_who_comes_too_often_gets_429_and_is_told_when_to_come_again(start):
    worker = start(connection_rate=3, ban_seconds=60, max_per_client=10)
    assert [knock(worker)[0] for _ in range(4)] == [101, 101, 101, 429]
    status, retry_after = knock(worker)
    assert status == 429 and 1 <= retry_after <= 21
    assert knock(worker, "127.0.0.2")[0] == 101
    assert worker.control.ask(cc.LIST_BANS, cc.BANS).bans() == []
    assert worker.control.counters()["refused"] == 2


def test_who_goes_on_is_banned_until_somebody_clears_it(start):
    worker = start(connection_rate=3, ban_seconds=600, max_per_client=10)
    resident = worker.open()
    assert [knock(worker)[0] for _ in range(2 + 20)] == [101] * 2 + [429] * 20
    status, retry_after = knock(worker)
    assert status == 429 and 500 < retry_after <= 600
    [(address, seconds, reason)] = worker.control.ask(cc.LIST_BANS, cc.BANS).bans()
    assert address == "127.0.0.1" and 500 < seconds <= 600 and reason == 1
    assert knock(worker, "127.0.0.2")[0] == 101
    resident.text("still here")
    worker.channel.wait_for(cc.MESSAGE, resident.id)
    assert worker.control.ask(cc.CLEAR_BAN, cc.RESULT, address=cc.encode_address("127.0.0.9")).get(cc.F_FOUND) == 0
    assert worker.control.ask(cc.CLEAR_BAN, cc.RESULT, address=cc.encode_address("127.0.0.1")).get(cc.F_FOUND) == 1
    assert worker.control.ask(cc.LIST_BANS, cc.BANS).bans() == []
    assert knock(worker)[0] == 101


def test_who_sends_nonsense_again_and_again_is_banned(start):
    worker = start(connection_rate=1000, ban_seconds=600, max_per_client=100)
    for _ in range(20):
        peer = worker.connect()
        peer.send(b"\x16\x03\x01")
        assert peer.response()[0] == 400
    assert knock(worker)[0] == 429
    [(_, _, reason)] = worker.control.ask(cc.LIST_BANS, cc.BANS).bans()
    assert reason == 2


def test_who_looks_with_a_plain_browser_or_from_another_page_is_not_banned(start):
    worker = start(connection_rate=1000, ban_seconds=600, max_per_client=100, allowed_origins="", protocol="chat")
    for headers in ([("Origin", "https://a.example")], [("Sec-WebSocket-Protocol", "other")], None):
        for _ in range(21):
            peer = worker.connect()
            peer.send(peer.request(leave_out=("Upgrade",)) if headers is None else peer.request(headers=headers))
            assert peer.response()[0] in (400, 403, 426)
    assert knock(worker)[0] == 101


def test_a_dual_stack_listener_bans_mapped_ipv4_as_ipv4_and_ipv6_by_its_network(start):
    worker = start(connection_rate=1, ban_seconds=600, listener=harness.listen("::", socket.AF_INET6))
    for _ in range(21):
        knock(worker)
    assert knock(worker)[0] == 429
    for _ in range(21):
        peer = worker.connect(None, family=socket.AF_INET6)
        peer.send(peer.request())
        peer.response(body=False)
    banned = [address for address, _, _ in worker.control.ask(cc.LIST_BANS, cc.BANS).bans()]
    assert banned == ["127.0.0.1", "::"]
    assert worker.control.ask(cc.CLEAR_BAN, cc.RESULT, address=cc.encode_address("::1")).get(cc.F_FOUND) == 1
    peer = worker.connect(None, family=socket.AF_INET6)
    peer.handshake()


@pytest.mark.parametrize("fields", [{}, {"address": b"\4" + bytes(22)}, {"address": b"\5" + bytes(23)},
                                    {"address": b"\4" + bytes(22) + b"\1"}, {"address": b"\4\1" + bytes(22)}])
def test_a_ban_of_what_is_no_address_ends_the_process_visibly(start, fields):
    worker = start()
    worker.expected_status = 3
    worker.control.send(cc.CLEAR_BAN, 1, **fields)
    assert worker.wait() == 3


# --- Memory: memory.h ---

def test_unfinished_messages_of_all_peers_together_are_bounded(start):
    """64 MiB, so that a crowd of peers cannot eat the memory with messages that never end; and who is refused is one of the crowd."""
    worker = start(max_per_client=50)
    part = b"\x02\xff" + struct.pack(">Q", 5000000) + bytes(4 + 4000000)

    def send_part(peer):
        try:
            peer.sock.sendall(part)
        except OSError:
            pass  # one that is cut off
    honest = worker.open(1)
    crowd = [worker.open(n) for n in range(2, 22)]
    for peer in crowd:
        thread = threading.Thread(target=send_part, args=(peer,), daemon=True)
        thread.start()
        thread.join(5)
    worker.channel.wait_for(cc.CLOSED, timeout=60)
    time.sleep(1.1)  # those who stand still for a second go first
    honest.binary(bytes(5000000))
    worker.channel.quiet()
    worker.channel.acknowledge(len(worker.channel.events()))  # a large event goes alone
    worker.channel.wait_for(cc.MESSAGE, honest.id)
    worker.channel.quiet()
    ended = [record for record in worker.channel.events() if record.type == cc.CLOSED]
    assert ended and all(record.code == 1013 and record.connection != honest.id for record in ended)
    if not harness.is_sanitized():  # whose allocator keeps what was freed
        assert cc.private_memory(worker.pid) < 80 << 20


def test_a_peer_that_is_cut_off_for_memory_learns_why(start):
    worker = start(max_per_client=50, max_message=60 << 20)  # three of them are allowed, and the last is kept free
    part = b"\x02\xff" + struct.pack(">Q", 60000000) + bytes(4 + 50000000)
    crowd = [worker.open(n) for n in range(1, 5)]
    for peer in crowd:
        thread = threading.Thread(target=lambda peer=peer: peer.sock.sendall(part), daemon=True)
        thread.start()
        thread.join(10)
    record = worker.channel.wait_for(cc.CLOSED, timeout=60)
    assert record.code == 1013 and b"unfinished" in record.body
    [told] = [peer for peer in crowd if peer.id == record.connection]
    assert told.receive_close()[0] == 1013


def small_buffers(listener):
    """So that what is sent waits in the worker and not in the kernel; accepted sockets inherit it."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    return listener


def test_what_waits_for_peers_that_do_not_read_is_bounded_and_those_who_read_are_served(start):
    """96 MiB and four of the largest messages."""
    worker = start(max_per_client=50, listener=small_buffers(harness.listen()))
    reader = worker.open(1)
    crowd = [worker.open(n, receive_buffer=4096) for n in range(2, 42)]
    ceiling = (96 << 20) + 4 * 5242864
    data = bytes(5242864)
    worker.channel.acknowledge(41)
    for peer in crowd:
        worker.channel.send(peer.id, data)
        assert worker.control.counters()["queued_bytes"] <= ceiling
        worker.channel.read_some(0)
    worker.channel.wait_for(cc.CLOSED)
    ended = [record for record in worker.channel.events() if record.type == cc.CLOSED]
    assert all((record.code, record.flags) == (1006, 0) and record.connection != reader.id for record in ended)
    assert 0 < len(ended) < 40
    if not harness.is_sanitized():
        assert cc.private_memory(worker.pid) < 2 * ceiling
    worker.channel.send(reader.id, "served")
    assert reader.receive() == (TEXT, b"served")
    reader.text("heard")
    worker.channel.acknowledge(len(worker.channel.events()))
    worker.channel.wait_for(cc.MESSAGE, reader.id)


def test_near_the_ceiling_newcomers_are_told_to_come_again_and_those_who_are_in_stay(start):
    worker = start(max_per_client=50, listener=small_buffers(harness.listen()))
    crowd = [worker.open(n, receive_buffer=4096) for n in range(1, 41)]
    worker.channel.acknowledge(40)
    short = ((96 << 20) + 4 * 5242864) // 8 * 7
    for peer in crowd:
        worker.channel.send(peer.id, bytes(5242864))
        if worker.control.counters()["queued_bytes"] > short:
            break
    refused = worker.connect()
    refused.send(refused.request())
    status, headers, _ = refused.response()
    assert status == 503 and int(headers["retry-after"]) > 0
    assert worker.control.counters()["connections"] == 40
    for peer in crowd:
        peer.sock.close()
    worker.channel.wait_for(cc.CLOSED, count=40)
    worker.channel.acknowledge(80)
    worker.connect().handshake()


def test_a_broadcast_of_the_largest_message_to_a_crowd_that_does_not_read_is_bounded_too(start):
    worker = start(max_per_client=60, listener=small_buffers(harness.listen()))
    reader = worker.open(1)
    crowd = [worker.open(n, receive_buffer=4096) for n in range(2, 52)]
    worker.channel.acknowledge(51)
    worker.channel.broadcast([worker.id(n) for n in range(2, 52)] + [reader.id], bytes(5242864))
    assert worker.control.counters()["queued_bytes"] <= (96 << 20) + 4 * 5242864
    assert reader.receive() == (BINARY, bytes(5242864))
    assert worker.control.counters()["connections"] < len(crowd)


@pytest.mark.skipif("harness.worker_path() and harness.is_sanitized()")
def test_the_kernel_stops_a_worker_that_leaks_before_the_device_suffers(start):
    worker = start()
    soft, hard = resource.prlimit(worker.pid, resource.RLIMIT_DATA)
    assert soft == hard and 200 << 20 < soft < 600 << 20
    large = start(max_clients=65535, max_message=256 << 20)
    assert resource.prlimit(large.pid, resource.RLIMIT_DATA)[0] > 4 * (256 << 20)
