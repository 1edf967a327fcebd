import * as fc from 'fast-check';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { Refusal } from '../../src/domain/failures.ts';
import type { CloseRequest } from '../../src/domain/onboarding.ts';
import { resetClock, shiftClock } from '../support/database.ts';
import { shareLab, userDocument } from '../support/share-lab.ts';
import { shareSeen } from '../support/share-seen.ts';

const lab = shareLab();
let connectionId: string;
beforeAll(async () => {
  connectionId = await lab.connect(lab.issuer, lab.partner, { acceptance: 'acknowledge' });
});
afterEach(() => resetClock(lab.database.pool));

/** `semantics.md`, "The one answer" and "Acknowledgement and reservation", for one share in `acknowledge` mode. */
class Model {
  minted = false;
  expired = false;
  suspended = false;
  /** What the unspent acknowledgement said. */
  acknowledged: string | null = null;
  ending: 'refused' | 'revoked' | 'undeliverable' | 'rejected' | 'imported' | null = null;

  get state(): string {
    if (this.ending === 'imported') return 'redeemed';
    if (this.ending === 'undeliverable' || this.ending === 'rejected') return 'closed';
    if (this.ending !== null) return this.ending;
    if (!this.minted) return 'minting';
    if (this.acknowledged !== null) return 'acknowledged';
    return this.expired ? 'expired' : 'open';
  }

  end(as: NonNullable<Model['ending']>): void {
    this.ending = as;
    this.acknowledged = null;
  }

  tooLate(): string {
    return `onboarding_ended (${this.ending ?? 'expired'})`;
  }
}

interface Command {
  /** Does it for real. */
  run(tokenId: string): Promise<unknown>;
  /** Does it to the model, and says what must be answered. */
  expect(model: Model): string;
}

const COMMANDS: Record<string, Command> = {
  mint: {
    run: (tokenId) => lab.runMint(tokenId),
    expect: (model) => {
      if (model.ending !== null) return 'ended';
      if (!model.minted && model.suspended) return 'connection_suspended';
      model.minted = true;
      return 'minted';
    },
  },
  accept: accepting('first'),
  'accept otherwise': accepting('second'),
  refuse: {
    run: (tokenId) => lab.acknowledge(tokenId, { accept: false, reason: 'no' }),
    expect: (model) => {
      if (model.state === 'minting') return 'onboarding_minting';
      if (model.state !== 'open' && model.state !== 'acknowledged') return model.tooLate();
      model.end('refused');
      return 'done';
    },
  },
  redeem: {
    run: (tokenId) => lab.redeem(tokenId),
    expect: (model) => {
      if (!model.minted) return 'share_token_invalid';
      if (model.expired) return 'share_token_expired';
      if (model.state === 'redeemed') return 'already_imported';
      if (model.ending !== null) return 'share_token_revoked';
      if (model.suspended) return 'connection_suspended';
      model.end('imported');
      return 'done';
    },
  },
  'run the import': {
    run: (tokenId) => lab.runImport(tokenId),
    expect: (model) => {
      if (model.state !== 'acknowledged') return model.state;
      if (model.suspended) {
        model.acknowledged = null;
        return 'connection_suspended';
      }
      model.end('imported');
      return 'redeemed';
    },
  },
  revoke: {
    run: (tokenId) => lab.revoke(tokenId),
    expect: (model) => {
      if (model.ending === 'revoked') return 'done';
      if (model.ending !== null || model.state === 'expired') return model.tooLate();
      model.end('revoked');
      return 'done';
    },
  },
  'close as expired': closing({ as: 'expired' }),
  'close as undeliverable': closing({ as: 'undeliverable', reason: 'gone' }),
  'close as revoked': closing({ as: 'revoked', reason: 'run_terminated' }),
  'close as rejected': closing({ as: 'rejected', reason: 'source_session_gone' }),
  'two hours pass': {
    run: () => shiftClock(lab.database.pool, '2 hours'),
    expect: (model) => {
      // A token that is minted later expires later.
      if (model.minted) model.expired = true;
      return 'done';
    },
  },
  'suspend or lift': {
    run: async () => {
      const [row] = await lab.rows<{ on: boolean }>('select suspended_by_issuer_at is null as on from connection');
      await lab.changeConnection(connectionId, lab.issuer, { suspended: row?.on === true });
    },
    expect: (model) => {
      model.suspended = !model.suspended;
      return 'done';
    },
  },
};

function accepting(words: string): Command {
  return {
    run: (tokenId) => lab.acknowledge(tokenId, { vendorData: words }),
    expect: (model) => {
      if (model.state === 'minting') return 'onboarding_minting';
      if (model.state === 'acknowledged') return model.acknowledged === words ? 'done' : 'acknowledgement_conflict';
      if (model.state !== 'open') return model.tooLate();
      if (model.suspended) return 'connection_suspended';
      model.acknowledged = words;
      return 'done';
    },
  };
}

function closing(request: CloseRequest): Command {
  const wins = request.as === 'revoked' || request.as === 'rejected';
  return {
    run: (tokenId) => lab.close(tokenId, request),
    expect: (model) => {
      if (model.ending !== null) return model.state;
      if (wins) model.end(request.as);
      // Nobody delivered this token, so what ran out was undeliverable.
      else if (model.state === 'expired' || (model.state === 'open' && request.as === 'undeliverable')) {
        model.end('undeliverable');
      }
      return model.state;
    },
  };
}

async function answerTo(call: Promise<unknown>): Promise<string> {
  try {
    const answer: unknown = await call;
    return typeof answer === 'object' && answer !== null && 'state' in answer ? String(answer.state) : 'done';
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const status = error.extra?.['status'];
    return status === undefined ? error.code : `${error.code} (${status})`;
  }
}

const EXAMPLES: readonly string[][] = [
  ['accept', 'two hours pass', 'close as expired', 'redeem', 'run the import', 'revoke'],
  ['accept', 'suspend or lift', 'run the import', 'two hours pass', 'close as expired', 'accept'],
  ['accept', 'suspend or lift', 'run the import', 'suspend or lift', 'accept otherwise', 'run the import', 'redeem'],
  ['accept', 'accept', 'accept otherwise', 'refuse', 'run the import'],
  ['accept', 'close as undeliverable', 'two hours pass', 'revoke', 'run the import'],
  ['redeem', 'two hours pass', 'redeem', 'close as revoked', 'refuse'],
];

it('a share answers as the rules say, after any sequence of calls', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(fc.constantFrom(...Object.keys(COMMANDS)), { minLength: 1, maxLength: 14 }),
      async (mintedFirst, names) => {
        await resetClock(lab.database.pool);
        await lab.changeConnection(connectionId, lab.issuer, { suspended: false });
        const tokenId = await lab.open(await lab.takeIn(userDocument()));
        const model = new Model();
        for (const name of mintedFirst ? ['mint', ...names] : names) {
          const command = COMMANDS[name];
          if (command === undefined) throw new Error(name);
          expect(await answerTo(command.run(tokenId)), name).toBe(command.expect(model));
          expect((await lab.look(tokenId)).state, `after "${name}"`).toBe(model.state);
        }
        const seen = await shareSeen(lab, { tokenId, issuer: lab.issuer, partner: lab.partner });
        expect(seen.broken).toEqual([]);
        expect(seen.acknowledgements.includes('unspent')).toBe(model.acknowledged !== null);
      },
    ),
    { numRuns: 100, examples: EXAMPLES.map((names) => [true, names]) },
  );
});
