import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { signWebhook } from '../../src/crypto/webhook-signature.ts';
import { newId } from '../../src/postgres/new-id.ts';
import { readSample } from '../../test/support/brands.ts';
import { startOwnProcess } from '../../test/support/worker-process.ts';
import { startAsked } from '../asked-process.ts';
import { addBrands } from '../brands.ts';
import { figuresOfRounds, race, type Part } from '../frame.ts';
import { amount, environment, openDatabase, type Lab, type LabDatabase } from '../lab.ts';
import type { PostOutcome, PostWork } from '../posts.ts';
import { startReceiver, type Received } from '../receiver.ts';
import { openTold } from '../told.ts';
import { until } from '../until.ts';

const DESTINATIONS = 8;
/** As the sender has at one destination. */
const PER_DESTINATION = 10;
/** A receiver elsewhere that does something with what it gets. */
const ANSWER_MS = 50;

/** Attempts and the sender at committed deliveries against undici with the same requests; signatures against one HMAC. */
export const webhooks: Part = {
  name: 'webhooks',
  shows: 'attempts, and the sender at committed deliveries, against bare undici; signing against a bare HMAC',
  run: async (lab) => {
    const receiver = await startReceiver(lab);
    const database = await openDatabase(lab);
    const env = environment(lab, database);
    const brands = await addBrands(database.url, DESTINATIONS);
    const targets = brands.map((brand) => ({ brand, url: `${receiver.origin}/${brand.id}` }));
    const told = await openTold(lab, database, env, targets);
    const decision = readSample('kyc-director');
    const tellAll = async (count: number) => {
      for (const [at, brand] of brands.entries()) {
        await told.tell(brand, Math.floor((count + DESTINATIONS - 1 - at) / DESTINATIONS), decision);
      }
    };
    const { worker } = await lab.servers.program();
    const sender = await startOwnProcess([worker, 'webhooks'], env, () => Promise.resolve(true));
    lab.onEnd(() => sender.kill());
    const warmUp = amount(lab, { full: 200, quick: 80 });
    await tellAll(warmUp);
    await allDelivered(database);

    const sample = receiver.last();
    if (sample === null) throw new Error('the receiver got nothing');
    const request = {
      targets: targets.map(({ url }) => url),
      perTarget: PER_DESTINATION,
      headers: signedHeaders(sample),
      body: sample.body.toString('utf8'),
    };
    const post: (work: PostWork) => Promise<PostOutcome> = startAsked(lab, 'post-process.ts');
    const committed = amount(lab, { full: 4_000, quick: 600 });
    const posted = amount(lab, { full: 40_000, quick: 10_000 });
    // As much as a turn: until code is compiled, its length counts and not its work.
    for (const by of ['undici', 'attempts'] as const) await post({ ...request, by, count: posted });

    const counted = async <Outcome>(count: number, work: () => Promise<Outcome>): Promise<Outcome> => {
      const before = receiver.count();
      const outcome = await work();
      const came = receiver.count() - before;
      if (came !== count) throw new Error(`${came} requests came instead of ${count}`);
      return outcome;
    };
    const send = (count: number) =>
      counted(count, async () => {
        // It sleeps while its work is written, and wakes to all of it at once.
        process.kill(sender.pid, 'SIGSTOP');
        await tellAll(count);
        const begun = performance.now();
        process.kill(sender.pid, 'SIGCONT');
        await allDelivered(database);
        return { perSecond: count / ((performance.now() - begun) / 1000) };
      });
    const postBy = async (by: PostWork['by'], count: number) => {
      const { seconds, cpuMs } = await counted(count, () => post({ ...request, by, count }));
      return { perSecond: count / seconds, cpuUs: (1000 * cpuMs) / count };
    };
    const rounds = await race(lab, {
      attempts: () => postBy('attempts', posted),
      drain: () => send(committed),
      undici: () => postBy('undici', posted),
    });
    receiver.answerAfter(ANSWER_MS);
    const slow = await race(lab, { drain: () => send(committed), undici: () => postBy('undici', committed) });
    const signs = signers(lab, request.body);
    for (const sign of [signs.signed, signs.hmac]) await sign();
    const signing = await race(lab, signs);
    return {
      ratios: {
        webhook_vs_undici: rounds.map(({ attempts, undici }) => attempts.perSecond / undici.perSecond),
        delivery_vs_undici: rounds.map(({ drain, undici }) => drain.perSecond / undici.perSecond),
        [`delivery_vs_undici_answer_${ANSWER_MS}ms`]: slow.map(
          ({ drain, undici }) => drain.perSecond / undici.perSecond,
        ),
        signing_vs_hmac: signing.map(({ signed, hmac }) => signed.perSecond / hmac.perSecond),
      },
      figures: {
        webhook_body_bytes: [sample.body.length],
        ...figuresOfRounds('webhook', rounds),
        ...figuresOfRounds(`webhook_answer_${ANSWER_MS}ms`, slow),
        ...figuresOfRounds('signing', signing),
      },
    };
  },
};

/** Until no delivery is open. */
async function allDelivered({ pool }: LabDatabase): Promise<void> {
  await until('the end of all deliveries', async () => {
    const { rows } = await pool.query<{ open: boolean; failed: boolean }>(
      `select exists (select 1 from delivery where ended_at is null) as open,
         exists (select 1 from delivery where ended_at is not null and state <> 'delivered') as failed`,
    );
    if (rows[0]?.failed === true) throw new Error('a delivery has failed');
    return rows[0]?.open === false;
  });
}

/** What the sender wrote itself; the rest is the connection's. */
function signedHeaders({ headers }: Received): Record<string, string> {
  const own = /^(content-type|user-agent|webhook-.*|x-.*)$/;
  return Object.fromEntries(
    Object.entries(headers).filter(
      (entry): entry is [string, string] => own.test(entry[0]) && typeof entry[1] === 'string',
    ),
  );
}

/** Both signature families with all their headers, against the one HMAC that neither can do without. */
function signers(lab: Lab, body: string) {
  const count = amount(lab, { full: 20_000, quick: 5_000 });
  const secret = randomBytes(32);
  const eventId = newId();
  const timed = (sign: () => unknown) => async () => {
    const begun = performance.now();
    for (let done = 0; done < count; done += 1) sign();
    return { perSecond: count / ((performance.now() - begun) / 1000) };
  };
  const about = { eventId, webhookType: 'status.updated', attempt: 1, sessionId: eventId, status: 'Approved' } as const;
  return {
    signed: timed(() => signWebhook({ ...about, body, timestampSeconds: 1_800_000_000, secrets: [secret] })),
    // With its key made first, as ours: from bytes as they are it takes three times as long.
    hmac: timed(() => createHmac('sha256', createSecretKey(secret)).update(body).digest('base64')),
  };
}
