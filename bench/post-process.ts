import { Pool } from 'undici';
import { createWebhookPoster } from '../src/webhooks/http-post.ts';
import { inFlight } from './in-flight.ts';
import type { PostOutcome, PostWork } from './posts.ts';

/** Posts by undici alone, and reads the answers. */
async function byUndici({ targets, perTarget, headers, body, count }: PostWork): Promise<PostOutcome> {
  const [first = ''] = targets;
  const connections = targets.length * perTarget;
  const pool = new Pool(new URL(first).origin, { connections, pipelining: 1 });
  const { seconds } = await inFlight(posts(targets, count), connections, async (url) => {
    const { pathname: path } = new URL(url);
    const answer = await pool.request({ method: 'POST', path, headers, body });
    await answer.body.dump();
    if (answer.statusCode !== 204) throw new Error(`the receiver answered ${answer.statusCode}`);
  });
  await pool.close();
  return { seconds };
}

/** Posts by the service's own poster: guarded, bounded in time and size. */
async function byPoster({ targets, perTarget, headers, body, count }: PostWork): Promise<PostOutcome> {
  const poster = createWebhookPoster({ allowHttp: true, allowedPorts: 'any', allowedCidrs: ['127.0.0.0/8'] });
  const { seconds } = await inFlight(posts(targets, count), targets.length * perTarget, async (url) => {
    const outcome = await poster.post({ destinationId: url, url, headers, body });
    if (outcome.kind !== 'reply' || outcome.status !== 204) throw new Error(`posting ended as ${outcome.kind}`);
  });
  await poster.close();
  return { seconds };
}

function posts(targets: readonly string[], count: number): string[] {
  return Array.from({ length: count }, (_, at) => targets[at % targets.length] ?? '');
}

process.on('message', (work: PostWork) => {
  const posting = work.by === 'undici' ? byUndici(work) : byPoster(work);
  posting.then(
    (outcome) => process.send?.(outcome),
    (error: unknown) => process.send?.({ failed: String((error as Error).stack ?? error) }),
  );
});
