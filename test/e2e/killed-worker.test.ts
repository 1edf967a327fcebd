import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Brand } from '../support/brands.ts';
import { handoffStack, type WorkerRole } from '../support/stack.ts';
import { startWorkerProcess, type OwnProcess } from '../support/worker-process.ts';

const stack = handoffStack({ workers: [] });

/** What happens to a run, so that it comes to a point. */
type Story = keyof typeof ENDINGS;

/** The ending of each story, which stands in spite of the kill. */
const ENDINGS = {
  accepted: { status: 'imported' },
  'accepted late': { status: 'imported' },
  revoked: { status: 'revoked', reason: 'revoked_by_issuer' },
  undeliverable: { status: 'undeliverable', reason: 'gone' },
} as const;

const POINTS: readonly { readonly point: string; readonly role: WorkerRole; readonly story: Story }[] = [
  { point: 'deliverShareToken:before', role: 'webhooks', story: 'accepted' },
  { point: 'deliverShareToken:after', role: 'webhooks', story: 'accepted late' },
  ...(
    [
      ['mintShareToken', 'accepted'],
      ['importSharedSession', 'accepted'],
      ['notifyParties', 'accepted'],
      ['lookAtShareToken', 'revoked'],
      ['closeShareToken', 'undeliverable'],
    ] as const
  ).flatMap(([activity, story]) =>
    ['before', 'after'].map((moment) => ({ point: `${activity}:${moment}`, role: 'onboarding' as const, story })),
  ),
];

const running = new Map<WorkerRole, OwnProcess>();
const runs = new Map<string, { readonly partner: Brand; readonly tokenId: string }>();

/** Puts a worker process in the place of the role's last one, armed to die at a point or not at all. */
async function startFresh(role: WorkerRole, failAt = ''): Promise<OwnProcess> {
  await running.get(role)?.kill();
  const worker = await startWorkerProcess(role, { ...stack.env, LOG_LEVEL: 'error', FAIL_AT: failAt });
  running.set(role, worker);
  return worker;
}

/** Opens a run whose partner does its part of the story on its own, as soon as it gets the token. */
async function begin(story: Story): Promise<{ partner: Brand; tokenId: string }> {
  const { brands, issuer } = stack;
  const partner = await brands.add();
  partner.endpoint.script = ({ type, body }) => {
    if (type !== 'share.received') return 204;
    if (story === 'undeliverable') return 410;
    if (story === 'accepted late') return 204;
    const tokenId = String(body['token_id']);
    const answer = story === 'accepted' ? brands.acknowledge(partner, tokenId) : brands.revoke(issuer, tokenId);
    void answer.then(({ status }) => expect(status).toBe(200));
    return 204;
  };
  return { partner, tokenId: await brands.open(issuer, partner, await brands.takeIn(issuer, 'kyc-approved')) };
}

beforeAll(async () => {
  await startFresh('onboarding');
  await startFresh('webhooks');
});
afterAll(async () => {
  for (const worker of running.values()) await worker.stop();
});

describe('a worker that is killed', () => {
  test.for(POINTS)('at $point', async ({ point, role, story }) => {
    const worker = await startFresh(role, point);
    runs.set(point, await begin(story));
    expect(await worker.ended).toBe('signal SIGKILL');
    if (point === 'deliverShareToken:after') await startFresh('webhooks');
  });
});

describe('its run ends all the same, with one row of each kind', () => {
  beforeAll(async () => void (await startFresh('onboarding')));

  test.for(POINTS)('killed at $point', { timeout: 90_000 }, async ({ point, story }) => {
    const run = runs.get(point);
    if (run === undefined) throw new Error('the run was opened by the tests before');
    const { partner, tokenId } = run;
    if (story === 'accepted late') {
      const status = async () => (await stack.handoff.queryOnboarding(tokenId)).status;
      await expect.poll(status, { timeout: 60_000, interval: 500 }).toBe('waiting');
      expect(await stack.brands.acknowledge(partner, tokenId)).toMatchObject({ status: 200 });
      // What was delivered before the kill is not sent again.
      expect(partner.endpoint.all('share.received', tokenId)).toHaveLength(1);
    }
    const ending = ENDINGS[story];
    await stack.expectEnding(partner, tokenId, ending);

    const { rows } = await stack.database.pool.query(
      `select (select count(*)::int from share_token where token_id = $1) as tokens,
         (select count(*)::int from session where application_id = $2) as sessions,
         (select count(*)::int from entity where application_id = $2) as entities,
         (select count(*)::int from acknowledgement where token_id = $1) as words`,
      [tokenId, partner.id],
    );
    const one = ending.status === 'imported' ? 1 : 0;
    expect(rows).toEqual([{ tokens: 1, sessions: one, entities: one, words: one }]);
    await stack.issuer.endpoint.heard(`share.${ending.status}`, tokenId);
    const events = new Map(partner.endpoint.received.map(({ type, body }) => [body['event_id'], type]));
    expect(new Set(events.values()).size).toBe(events.size);
  });
});
