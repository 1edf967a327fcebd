import { same, within, type Part } from '../../torture/part.ts';
import { signatures } from '../../torture/parts/signatures.ts';
import { tryForgeries } from '../../test/support/forged-tokens.ts';
import { inLab } from './in-lab.ts';

const SEED = 20_261_123;

const tokens: Part = {
  name: 'tokens',
  shows: 'share tokens that were forged without the key: none is believed',
  run: async (lab) => {
    const count = lab.quick ? 10_000 : 100_000;
    lab.say(`F22: ${count} forged tokens`);
    const { accepted, falsely } = await tryForgeries(count, SEED);
    return [
      same(`of ${count} forged tokens, read as something that nobody signed`, falsely.length, 0),
      // Spare bits and parts that belong together; were it none at all, nothing would have been near enough.
      within('read as what was signed, in another spelling', accepted, [1, count / 5]),
    ];
  },
};

/** Signatures and share tokens that nobody with a key made. */
export const forgeries = inLab(
  { id: 'F22', what: 'changed and forged share tokens and webhook signatures: none is believed' },
  tokens,
  signatures,
);
