"""psycopg 3 through the gate: a line "ok WHAT" for each thing that works."""
import os
import sys
import threading
import time

import psycopg

dsn = f"host={sys.argv[1]} port={sys.argv[2]} dbname=shop user=anybody password=nonsense connect_timeout=30"


def ok(what, holds):
    print("ok" if holds else "WRONG", what, flush=True)


def refused(what, call):
    try:
        call()
        print("NOT REFUSED", what)
    except psycopg.errors.InsufficientPrivilege as e:
        ok(what, "ambit refused" in str(e))


for mode in ("disable", "require", "verify-full"):
    with psycopg.connect(dsn, sslmode=mode, sslrootcert=os.environ["SSL_CERT_FILE"]) as c:
        ok(f"sslmode {mode}", c.execute("SELECT total FROM orders WHERE id = 7").fetchone() == (70,))

more = ""
if psycopg.pq.version() >= 180000:
    more = " sslnegotiation=direct max_protocol_version=latest"
    ok("libpq 18", True)
c = psycopg.connect(dsn + more, sslmode="require", autocommit=True)
ok("simple", psycopg.ClientCursor(c).execute("SELECT total FROM orders WHERE id = %s", (7,)).fetchone() == (70,))
ok("extended", c.execute("SELECT total FROM orders WHERE id = %s", (7,)).fetchone() == (70,))
ok("binary", c.execute("SELECT total FROM orders WHERE id = %s", (7,), binary=True).fetchone() == (70,))
ok("prepared", [c.execute("SELECT total FROM orders WHERE id = %s", (i,), prepare=True).fetchone()[0] for i in range(1, 9)] == [10 * i for i in range(1, 9)])
k = c.cursor()
k.executemany("INSERT INTO notes VALUES (%s, %s)", [(i, "many") for i in range(10)])
ok("executemany", k.rowcount == 10)

with c.pipeline() as p:
    a = [c.execute("SELECT total FROM orders WHERE id = %s", (i,)) for i in range(1, 6)]
    p.sync()
    ok("pipeline", [x.fetchone()[0] for x in a] == [10, 20, 30, 40, 50])


def in_pipeline():
    with c.pipeline():
        c.execute("INSERT INTO notes VALUES (100, 'taken back')")
        c.execute("DELETE FROM orders WHERE id = %s", (7,))
        c.execute("INSERT INTO notes VALUES (101, 'skipped')")


refused("pipeline, refused", in_pipeline)
ok("pipeline, taken back", c.execute("SELECT count(*) FROM notes WHERE id >= 100").fetchone() == (0,))

with k.copy("COPY notes FROM STDIN") as copy:
    for i in range(20000):
        copy.write_row((1000 + i, "copied " + "x" * 50))
ok("copy in", c.execute("SELECT count(*) FROM notes WHERE id >= 1000").fetchone() == (20000,))
with k.copy("COPY (SELECT id, total FROM orders ORDER BY id) TO STDOUT") as copy:
    ok("copy out", len(list(copy.rows())) == 1000)
with k.copy("COPY orders TO STDOUT (FORMAT binary)") as copy:
    copy.set_types(["int4", "int4", "int4"])
    ok("copy out, binary", sum(1 for _ in copy.rows()) == 1000)

with c.transaction():
    with c.cursor(name="big") as named:
        named.itersize = 100
        named.execute("SELECT id FROM orders ORDER BY id")
        ok("cursor", sum(1 for _ in named) == 1000)
with c.transaction(force_rollback=True):
    c.execute("INSERT INTO notes VALUES (200, 'rolled back')")
    try:
        with c.transaction():
            c.execute("SELECT nonsense FROM orders")
    except psycopg.errors.UndefinedColumn:
        ok("savepoint", c.execute("SELECT count(*) FROM notes WHERE id = 200").fetchone() == (1,))
ok("rollback", c.execute("SELECT count(*) FROM notes WHERE id = 200").fetchone() == (0,))

c.execute("LISTEN news")
with psycopg.connect(dsn, autocommit=True) as other:
    other.execute("NOTIFY news, 'hello'")
ok("listen", next(c.notifies()).payload == "hello")
c.execute("UNLISTEN news")

LONG = "SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e"


def canceller():
    with psycopg.connect(dsn, autocommit=True) as other:
        while other.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = %s", (LONG,)).fetchone() == (0,):
            time.sleep(0.05)
    c.cancel()


t = threading.Thread(target=canceller)
t.start()
try:
    c.execute(LONG)
    print("NOT CANCELLED")
except psycopg.errors.QueryCanceled:
    ok("cancel", True)
t.join()
ok("after", c.execute("SELECT count(*) FROM orders").fetchone() == (1000,))
refused("refused", lambda: c.execute("DELETE FROM orders WHERE id = %s", (7,)))
refused("refused, a column", lambda: c.execute("SELECT email FROM customers"))
