"""What a cached record takes."""

import contextlib

from harness.tables import MIB
from peers import peers
from peers.common import HTTP, READ, VALUE_BYTES, Work, count
from peers.comparison import Row

# More keys than there is room for: a full cache is measured.
MEMORY_CACHE_BYTES, MEMORY_KEYS = 64 * MIB, 300000
MEMORY_ID_BYTES = len("0000000000")
MEMORY_RATIO_MAX = 1.3
GROWTH = "growth of RSS"


def memory(comparison):
    bench = comparison.bench
    keys = count(bench, MEMORY_KEYS)
    with bench.freshet(durability="none") as server:
        bench.fill(server, keys)
        answer = bench.capture(server, *READ)
        data = server.data
    whole_bytes = len("products") + MEMORY_ID_BYTES + len(answer.read_bytes().partition(b"\r\n\r\n")[2])
    # Of RocksDB's blocks little is kept: they are not to pass for the cache's memory.
    cache_bytes = count(bench, MEMORY_CACHE_BYTES)
    with bench.freshet(data=data, cache=cache_bytes, more=["--block-cache-bytes", "8MiB"]) as server:
        before = server.rss()
        bench.warm(server, keys, "--connections", 50)
        entries = server.metric("freshet_cache_entries")
        held = server.metric("freshet_cache_bytes") / entries
        grown = (server.rss() - before) / entries
    beside = f"key and answer {whole_bytes} B"
    ours = Row(comparison.title, "cache", f"{HTTP} {held:.0f} B", beside, f"{held / whole_bytes:.3g}")
    comparison.judge(ours, f"{comparison.title}: cache, {HTTP} / key and answer", held / whole_bytes, MEMORY_RATIO_MAX)
    comparison.rows.append(Row(comparison.title, GROWTH, f"{HTTP} {grown:.0f} B", beside, f"{grown / whole_bytes:.3g}"))
    memory_beside(comparison, keys)


def memory_beside(comparison, keys):
    """What Redis and memcached grow by for the same records."""
    bench = comparison.bench
    whole_bytes = MEMORY_ID_BYTES + VALUE_BYTES
    for label, make in (("redis", bench.redis),
                        ("memcached", lambda: peers.Memcached(bench.folder, bench.options.server_core))):
        with contextlib.ExitStack() as stack:
            peer = comparison.start(stack, label, make)
            before = peer.rss() if peer else 0
            if peer and comparison.try_to(label, bench.fill, peer, keys):
                grown = (peer.rss() - before) / keys
                row = Row(comparison.title, GROWTH, f"{label} {grown:.0f} B", f"key and value {whole_bytes} B",
                          f"{grown / whole_bytes:.3g}")
            else:
                row = Row(comparison.title, GROWTH, label, verdict=f"skipped: {comparison.missing[label]}")
            comparison.rows.append(row)


WORK = (Work("memory", "memory of a cached record of 300 B", lambda bench: 15, memory),)
