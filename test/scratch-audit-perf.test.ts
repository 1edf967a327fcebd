import { it } from 'vitest';
import { testApi } from './http/api.ts';
const api = testApi();
it('perf', async () => {
  const pool = api.database.pool;
  const a = api.issuer;
  const c = await pool.connect();
  try {
  await c.query('set session_replication_role = replica');
  await c.query(`insert into event (event_id, application_id, type, session_id, subject_id, sequence, actor_kind, actor_id, request_id, salt, dedupe_key, created_at)
    select gen_random_uuid(), $1, case when g % 1000 = 0 then 'user.created' else 'status.updated' end, s, s, 1, case when g % 5000 = 0 then 'system' else 'api_key' end, $2, 'r' || g, '\\x00', 'k' || g, now() - g * interval '1 second'
    from (select g, gen_random_uuid() as s from generate_series(1, 1000000) g) x`, [a.id, a.keyId]);
  await c.query(`insert into audit_chain select application_id, row_number() over (order by created_at), event_id, sha256('a'), sha256('a'), created_at from event where application_id = $1`, [a.id]);
  await c.query('vacuum analyze event'); await c.query('vacuum analyze audit_chain');
  await c.query('set session_replication_role = default');
  } finally { c.release(); }
  const [row] = (await pool.query('select session_id, request_id, created_at::text from event where application_id=$1 limit 1', [a.id])).rows;
  for (const q of ['', '?type=user.created', '?actor_kind=system', `?actor_id=${a.keyId}`, `?session_id=${row.session_id}`, `?subject_id=${row.session_id}`, `?request_id=${row.request_id}`, '?offset=500000', `?since=${new Date(Date.now()-86400000).toISOString()}`, `?actor_kind=system&type=user.created`]) {
    for (let i = 0; i < 2; i++) {
      const t = performance.now();
      const r = await api.call(a, 'GET', `/v1/audit/${q}`);
      console.log(q || '(all)', r.status, r.body['count'], Math.round(performance.now() - t), 'ms');
    }
  }
  const t = performance.now();
  const r = await api.app.inject({ method: 'GET', url: `/v1/audit/export/?since=${new Date(Date.now()-86400000).toISOString()}`, headers: { 'x-api-key': a.key } });
  console.log('export of a day', r.statusCode, r.body.split('\n').length, Math.round(performance.now() - t), 'ms');
}, 600_000);
