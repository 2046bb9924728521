# psql through the gate: a line "ok WHAT" for each thing that works.
psql=$(ls -d /usr/lib/postgresql/*/bin/psql | tail -1)
export PGHOST=$1 PGPORT=$2 PGDATABASE=shop PGUSER=anybody PGPASSWORD=nonsense PGCONNECT_TIMEOUT=60 PGSSLROOTCERT=$SSL_CERT_FILE
ok() { if [ "$2" = "$3" ]; then echo "ok $1"; else echo "WRONG $1: $2"; fi; }
q() { $psql -XAtq "$@" 2>&1; }
for mode in disable require verify-full; do
	ok "sslmode $mode" "$(PGSSLMODE=$mode q -c 'SELECT total FROM orders WHERE id = 7')" 70
done
ok simple "$(q -c 'SELECT total FROM orders WHERE id = 7')" 70
ok extended "$(echo 'SELECT total FROM orders WHERE id = 7 \gdesc' | q)" 'total|integer'
ok "several" "$(q -c 'SELECT 1; SELECT total FROM orders WHERE id = 7' | tr '\n' ' ')" '1 70 '
ok prepared "$(printf 'PREPARE p(int) AS SELECT total FROM orders WHERE id = $1;\nEXECUTE p(7);\nEXECUTE p(8);\n' | q | tr '\n' ' ')" '70 80 '
ok "copy in" "$(seq 2000 | sed 's/$/\tcopied/' | q -c '\copy notes FROM STDIN' && q -c 'SELECT count(*) FROM notes')" 2000
ok "copy out" "$(q -c '\copy (SELECT id FROM orders) TO STDOUT' | wc -l)" 1000
ok cursor "$(printf '\\set FETCH_COUNT 100\nSELECT id FROM orders ORDER BY id;\n' | q | wc -l)" 1000
ok listen "$(printf "LISTEN news;\nNOTIFY news, 'hello';\nSELECT 1;\n" | q | grep -c 'payload "hello"')" 1
ok describe "$(q -c '\d orders' | head -1)" 'id|integer||not null|'
long='SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e'
$psql -XAtq -c "$long" >out 2>&1 &
until [ "$(q -c "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = '$long'")" = 1 ]; do sleep 0.05; done
kill -INT $!
wait $!
ok cancel "$(grep -c 'canceling statement due to user request' out)" 1
ok after "$(q -c 'SELECT count(*) FROM orders')" 1000
ok refused "$(q -c 'DELETE FROM orders WHERE id = 7' | grep -c 'ambit refused sql.delete')" 1
ok "refused, a column" "$(q -c 'SELECT email FROM customers' | grep -c 'ambit refused sql.select')" 1
