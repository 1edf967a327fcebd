import { describe, expect, it } from 'vitest';
import { Refusal } from '../../src/domain/failures.ts';
import { createPasswords, PASSWORD_COST, passwordProblem } from '../../src/accounts/passwords.ts';

const cheap = createPasswords({ N: 16, r: 1, p: 1 });

describe('a stored password', () => {
  it('is fitted by itself alone, and never stored twice alike', async () => {
    const [one, two] = [await cheap.hash('Correct-Horse-7'), await cheap.hash('Correct-Horse-7')];
    expect(one).not.toBe(two);
    expect(await cheap.check('Correct-Horse-7', one)).toBe(true);
    for (const wrong of ['', 'correct-horse-7', 'Correct-Horse-7 ', 'Correct-Horse-8']) {
      expect(await cheap.check(wrong, one)).toBe(false);
    }
  });

  it('is what its letters are, however a keyboard composes them', async () => {
    expect(await cheap.check('Zoe\u0308-Horse-7', await cheap.hash('Zoë-Horse-7'))).toBe(true);
  });

  it('keeps its own cost when ours changes', async () => {
    const stored = await createPasswords({ N: 32, r: 2, p: 1 }).hash('Correct-Horse-7');
    expect(stored).toMatch(/^\$scrypt\$ln=5,r=2,p=1\$[\w+/]{22}\$[\w+/]{43}$/);
    expect(await cheap.check('Correct-Horse-7', stored)).toBe(true);
    await expect(cheap.check('Correct-Horse-7', '$argon2id$v=19$x$y')).rejects.toThrow('not readable');
  });

  it('costs by default what OWASP asks for, and works', async () => {
    expect(PASSWORD_COST).toEqual({ N: 32_768, r: 8, p: 3 });
    const passwords = createPasswords();
    expect(await passwords.check('Correct-Horse-7', await passwords.hash('Correct-Horse-7'))).toBe(true);
  });

  it('that is not there is fitted by nothing, many at once', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => cheap.check('Correct-Horse-7', null)));
    expect(answers).toEqual(Array.from({ length: 20 }, () => false));
  });
});

describe('many passwords at once', () => {
  it('wait for their turn; those beyond 50 are refused now', async () => {
    const passwords = createPasswords({ N: 16, r: 1, p: 1 });
    const hashes = Array.from({ length: 60 }, () => passwords.hash('Correct-Horse-7'));
    const busy = expect.objectContaining({ code: 'service_unavailable' }) as unknown;
    expect(() => passwords.refuseWhenBusy()).toThrow(Refusal);
    const outcomes = await Promise.allSettled(hashes);
    expect(outcomes.slice(0, 52).every(({ status }) => status === 'fulfilled')).toBe(true);
    expect(outcomes.slice(52)).toEqual(Array.from({ length: 8 }, () => ({ status: 'rejected', reason: busy })));
    passwords.refuseWhenBusy();
    expect(await passwords.check('Correct-Horse-7', await passwords.hash('Correct-Horse-7'))).toBe(true);
  });
});

describe('a new password', () => {
  it('breaks one rule at a time', () => {
    expect(passwordProblem('')).toContain('8 characters');
    expect(passwordProblem('aaaaaaaa')).toContain('uppercase');
    expect(passwordProblem('AAAAAAAA')).toContain('lowercase');
    expect(passwordProblem('AAAAaaaa')).toContain('digit');
    expect(passwordProblem('AAAAaaa7')).toContain('special');
    // A space is no special character.
    expect(passwordProblem('AAAA aa7')).toContain('special');
    expect(passwordProblem('ÄÄÄÄ-öö7')).toBeNull();
  });
});
