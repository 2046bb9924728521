// node-postgres through the gate: a line "ok WHAT" for each thing that works.
const { Client, Pool } = require('pg');
const fs = require('fs');
const [host, port] = process.argv.slice(2);
const at = { host, port: Number(port), database: 'shop', user: 'anybody', password: 'nonsense', connectionTimeoutMillis: 60000 };
const ok = (what, holds) => console.log((holds ? 'ok ' : 'WRONG ') + what);
const total = async (c, id) => (await c.query('SELECT total FROM orders WHERE id = $1', [id])).rows[0].total;
const refused = async (what, call) => {
  try { await call(); console.log('NOT REFUSED ' + what); } catch (e) { ok(what, e.code === '42501' && e.message.startsWith('ambit refused')); }
};
const open = async (more) => { const c = new Client({ ...at, ...more }); await c.connect(); return c; };

(async () => {
  for (const [mode, ssl] of [['disable', false], ['require', { rejectUnauthorized: false }], ['verify-full', { ca: fs.readFileSync(process.env.SSL_CERT_FILE), servername: host }]]) {
    const c = await open({ ssl });
    ok('sslmode ' + mode, await total(c, 7) === 70);
    await c.end();
  }
  const c = await open({ ssl: { rejectUnauthorized: true } });
  ok('simple', (await c.query('SELECT total FROM orders WHERE id = 7')).rows[0].total === 70);
  ok('extended', await total(c, 7) === 70);
  const prepared = [];
  for (let i = 1; i < 9; i++) prepared.push((await c.query({ name: 'p', text: 'SELECT total FROM orders WHERE id = $1', values: [i] })).rows[0].total);
  ok('prepared', prepared.join() === '10,20,30,40,50,60,70,80');
  ok('a query by portions', (await c.query({ text: 'SELECT id FROM orders', rows: 100 })).rows.length >= 100);
  await c.query('BEGIN');
  await c.query('INSERT INTO notes VALUES ($1, $2)', [200, 'rolled back']);
  await c.query('DECLARE big CURSOR FOR SELECT id FROM orders ORDER BY id');
  ok('cursor', (await c.query('FETCH 500 FROM big')).rows.length === 500 && (await c.query('FETCH ALL FROM big')).rows.length === 500);
  await c.query('ROLLBACK');
  ok('rollback', (await c.query('SELECT count(*) FROM notes WHERE id = 200')).rows[0].count === '0');
  const heard = new Promise((resolve) => c.once('notification', (m) => resolve(m.payload)));
  await c.query('LISTEN news');
  const other = await open();
  await other.query("NOTIFY news, 'hello'");
  ok('listen', await heard === 'hello');
  const many = await Promise.allSettled([1, 2, 3].map((i) => other.query('SELECT total FROM orders WHERE id = $1', [i])).concat(other.query('DELETE FROM orders'), total(other, 4)));
  ok('queued', many[0].value.rows[0].total === 10 && many[3].status === 'rejected' && many[4].value === 40);
  const pool = new Pool({ ...at, max: 8 });
  ok('pool', (await Promise.all([...Array(40).keys()].map((i) => total(pool, i + 1)))).every((t, i) => t === 10 * (i + 1)));
  await pool.end();
  await refused('refused', () => c.query('DELETE FROM orders WHERE id = $1', [7]));
  await refused('refused, a column', () => c.query('SELECT email FROM customers'));
  ok('after', await total(c, 7) === 70);
  await other.end();
  await c.end();
})().catch((e) => { console.log('FAILED', e); process.exit(1); });
