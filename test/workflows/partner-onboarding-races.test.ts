import { describe, expect, it } from 'vitest';
import type { SignalName } from '../../src/domain/temporal-names.ts';
import type { FakeShare } from '../support/fake-share.ts';
import { expectEnding, workflowLab } from '../support/workflow-lab.ts';

const lab = workflowLab();
const MINUTE = 60_000;
const imported = (share: FakeShare) =>
  ({ status: 'imported', reason: null, sessionId: share.rows().redeemedSessionId ?? 'none' }) as const;
const imports = (share: FakeShare) => share.events().filter((type) => type === 'status.updated').length;

/** Postgres is away for one step until the share's clock has moved on by so much from the first call. */
function awayFor(share: FakeShare, step: string, ms: number): void {
  let back = Infinity;
  share.fault = (call) => {
    if (call.step !== step) return undefined;
    if (call.nth === 1) back = call.now + ms;
    return call.now < back ? 'down_for_now' : undefined;
  };
}

describe('the partner’s word', () => {
  it('counts at once during a day of failing deliveries', async () => {
    const share = await lab.begin({ ttlSeconds: 86_400, destinations: [() => 500] });
    await lab.pass('4h');
    expect(await lab.view(share)).toMatchObject({ status: 'delivering' });
    await share.acknowledge();
    const attempts = share.attempts.length;
    expectEnding(share, await lab.end(share, 'imported-during-retries'), imported(share));
    await lab.pass('2h');
    expect(share.attempts).toHaveLength(attempts);
  });

  it('given twice is one import', async () => {
    const share = await lab.begin();
    await lab.pass('1m');
    await Promise.all([share.acknowledge(), share.acknowledge()]);
    await signal(share, 'partnerAcknowledged', 'the same again');
    expectEnding(share, await lab.end(share), imported(share));
    expect(imports(share)).toBe(1);
    expect(share.rows().acknowledgements).toHaveLength(1);
  });

  it('in the last second reserves the token: its import finishes after the expiry', async () => {
    const share = await lab.begin();
    await lab.pass(59 * MINUTE + 58_000);
    awayFor(share, 'import', 20 * MINUTE);
    await share.acknowledge();
    const ended = await lab.end(share, 'imported-after-expiry');
    expectEnding(share, ended, imported(share));
    expect(ended.closedAt).toBeGreaterThan((share.rows().token?.expiresAt ?? 0) * 1000);
    expect(imports(share)).toBe(1);
  });

  it('counts though its signal was lost: the timer finds it', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    share.signals = false;
    await share.acknowledge();
    expectEnding(share, await lab.end(share, 'imported-signal-lost'), imported(share));
    expect(share.steps).toEqual(['mint', 'close expired', 'import', 'notify']);
  });

  it('yields to a revocation until the import is written', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    let down = true;
    share.fault = ({ step }) => (step === 'import' && down ? 'down_for_now' : undefined);
    await share.acknowledge();
    await lab.pass('5m');
    expect(await lab.view(share)).toMatchObject({ status: 'importing' });
    await share.revoke();
    down = false;
    expectEnding(share, await lab.end(share), { status: 'revoked', reason: 'revoked_by_issuer' });
    expect(imports(share)).toBe(0);
  });

  it('can be withdrawn until the import is written', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    share.signals = false;
    await share.acknowledge();
    share.signals = true;
    await share.refuse();
    expectEnding(share, await lab.end(share), { status: 'refused', reason: 'refused_by_partner' });
  });
});

describe('an import that is refused', () => {
  it('for a reason that the partner mends: it says so again, and it is imported', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    share.fault = ({ step, nth }) => {
      if (step === 'import' && nth === 1) share.world.suspended = true;
      return undefined;
    };
    await share.acknowledge();
    await lab.pass('5m');
    expect(await lab.view(share)).toMatchObject({ status: 'waiting', refusedWith: 'connection_suspended' });
    await expect(share.acknowledge()).rejects.toMatchObject({ code: 'connection_suspended' });
    share.world.suspended = false;
    await share.acknowledge();
    expectEnding(share, await lab.end(share, 'imported-after-mending'), imported(share));
    expect(share.steps).toEqual(['mint', 'import', 'look', 'import', 'notify']);
    expect(share.rows().acknowledgements.map(({ state }) => state)).toEqual(['spent', 'redeemed']);
  });

  it('while delivery fails: the delivery goes on, and arrives', async () => {
    const share = await lab.begin({ destinations: [(attempt) => (attempt < 10 ? 500 : 200)] });
    await lab.pass('3m');
    awayFor(share, 'import', 10 * MINUTE);
    await share.acknowledge();
    share.world.suspended = true;
    await lab.pass('11m');
    expect(await lab.view(share)).toMatchObject({ status: 'delivering', refusedWith: 'connection_suspended' });
    await lab.pass('40m');
    expect(await lab.view(share)).toMatchObject({ status: 'waiting' });
    expect(share.attempts).toHaveLength(10);
    expectEnding(share, await lab.end(share, 'expired-after-refusal-during-delivery'), {
      status: 'expired',
      reason: null,
    });
  });

  it('for a reason that nobody mends: it expires', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    share.fault = ({ step }) => {
      if (step === 'import') share.world.defaultWorkflow = null;
      return undefined;
    };
    await share.acknowledge();
    expectEnding(share, await lab.end(share, 'expired-after-refusal'), { status: 'expired', reason: null });
    expect(share.steps).toEqual(['mint', 'import', 'look', 'close expired', 'notify']);
  });

  it('because another token imported the session: it waits, and expires', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    share.fault = ({ step }) => {
      if (step === 'import') share.world.importedByAnother = true;
      return undefined;
    };
    await share.acknowledge();
    await lab.pass('5m');
    expect(await lab.view(share)).toMatchObject({ status: 'waiting', refusedWith: 'already_imported' });
    expectEnding(share, await lab.end(share), { status: 'expired', reason: null });
    expect(imports(share)).toBe(0);
  });

  it('past the expiry, where nothing can be mended any more: it is rejected with that code', async () => {
    const share = await lab.begin();
    await lab.pass(59 * MINUTE + 58_000);
    awayFor(share, 'import', 5 * MINUTE);
    await share.acknowledge();
    share.world.suspended = true;
    expectEnding(share, await lab.end(share, 'rejected-after-expiry'), {
      status: 'rejected',
      reason: 'connection_suspended',
    });
    expect(share.steps).toEqual(['mint', 'import', 'look', 'notify']);
  });
});

describe('messages', () => {
  it('of things that never happened change nothing: unknown, early, out of order, two hundred times', async () => {
    const share = lab.share();
    await lab.replaceWorkers(async () => {
      await lab.start(share);
      for (const name of ['tokenRevoked', 'tokenRedeemed', 'partnerAcknowledged'] as const) {
        await signal(share, name, 'before the first task');
      }
    });
    await lab.pass('1m');
    expect(await lab.view(share)).toMatchObject({ status: 'waiting' });
    await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        signal(share, index % 2 === 0 ? 'partnerAcknowledged' : 'tokenRevoked', `no row ${index}`),
      ),
    );
    await lab.pass('1m');
    expect(await lab.view(share)).toMatchObject({ status: 'waiting', refusedWith: null });
    expect(share.events()).toEqual(['share.minted', 'share.received']);
    await share.acknowledge();
    expectEnding(share, await lab.end(share, 'imported-after-spurious-signals'), imported(share));
    expect(imports(share)).toBe(1);
  });

  it('make the run ask once each, and wait on', async () => {
    const share = await lab.begin();
    await lab.pass('1m');
    await signal(share, 'tokenRevoked', 'no row');
    await lab.pass('1m');
    await signal(share, 'tokenRedeemed', 'no row');
    expectEnding(share, await lab.end(share), { status: 'expired', reason: null });
    expect(share.steps).toEqual(['mint', 'look', 'look', 'close expired', 'notify']);
  });

  it('while delivery fails leave it failing, and its success is still seen', async () => {
    const share = await lab.begin({ destinations: [(attempt) => (attempt < 12 ? 500 : 200)] });
    await lab.pass('10m');
    await signal(share, 'partnerAcknowledged', 'no row');
    await lab.pass('1m');
    expect(await lab.view(share)).toMatchObject({ status: 'delivering' });
    await lab.pass('45m');
    expect(await lab.view(share)).toMatchObject({ status: 'waiting' });
    expectEnding(share, await lab.end(share), { status: 'expired', reason: null });
  });

  it('after the end change nothing', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    await share.revoke();
    const before = await lab.end(share);
    await expect(share.acknowledge()).rejects.toMatchObject({ code: 'onboarding_ended' });
    await expect(share.refuse()).rejects.toMatchObject({ code: 'onboarding_ended' });
    await expect(share.redeem()).rejects.toMatchObject({
      code: expect.stringMatching(/^share_token_(revoked|expired)$/),
    });
    await share.revoke();
    expect(await signal(share, 'partnerAcknowledged', 'too late')).toBe('not_found');
    const after = await lab.end(share);
    expect(after.history.events).toHaveLength(before.history.events?.length ?? 0);
    expectEnding(share, after, { status: 'revoked', reason: 'revoked_by_issuer' });
  });

  it('a redemption whose signal was lost is found by the timer', async () => {
    const share = await lab.begin();
    await lab.pass('5m');
    share.signals = false;
    const sessionId = await share.redeem();
    expectEnding(share, await lab.end(share, 'redeemed-signal-lost'), { status: 'imported', reason: null, sessionId });
    expect(share.steps).toEqual(['mint', 'close expired', 'notify']);
  });
});

describe('clocks', () => {
  it('a timer that is early by the database’s clock is set again', async () => {
    const share = await lab.begin();
    await lab.pass('1m');
    share.clockOffsetMs = -10 * MINUTE;
    const ended = await lab.end(share, 'expired-timer-early');
    expectEnding(share, ended, { status: 'expired', reason: null });
    expect(share.steps).toEqual(['mint', 'close expired', 'close expired', 'notify']);
  });

  it('the partner’s word between the early timer and the expiry counts', async () => {
    const share = await lab.begin();
    await lab.pass('1m');
    share.clockOffsetMs = -10 * MINUTE;
    await lab.pass(64 * MINUTE);
    await share.acknowledge();
    expectEnding(share, await lab.end(share), imported(share));
  });

  it.each([
    ['tokenRevoked', 'look'],
    ['partnerAcknowledged', 'import'],
  ] as const)('a database that is ahead ends it at its own time, when %s makes the run ask', async (name, step) => {
    const share = await lab.begin();
    await lab.pass('1m');
    share.clockOffsetMs = 61 * MINUTE;
    await expect(share.acknowledge()).rejects.toMatchObject({ code: 'onboarding_ended' });
    await signal(share, name, 'no row');
    expectEnding(share, await lab.end(share, `expired-at-${step}`), { status: 'expired', reason: null });
    expect(share.steps).toEqual(['mint', step, 'close expired', 'notify']);
  });
});

function signal(share: FakeShare, name: SignalName, rowId: string): Promise<'signalled' | 'not_found'> {
  return lab.client.signalOnboarding(share.tokenId, name, rowId);
}
