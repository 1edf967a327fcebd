import './node-version.ts';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { readKeysConfig, type Environment, type KeysConfig } from './config.ts';
import { createBlindIndex } from './crypto/blind-index.ts';
import { withSecrets } from './crypto/key-provider.ts';
import type { KeyRing } from './crypto/key-ring.ts';
import { createSealer, type Sealer } from './crypto/payload-seal.ts';
import type { Actor } from './domain/events.ts';
import { PLATFORM_ID } from './domain/ids.ts';
import { errorKind } from './logging.ts';
import { openMediaStore } from './media/open-media-store.ts';
import { MediaStoreUnavailable, type MediaStore } from './media/ports.ts';
import { handoffTenants, type HandoffTenants } from './postgres/handoff-tenants.ts';
import { adoptPlain } from './postgres/rotation/adopt-plain.ts';
import { loginProblem } from './postgres/login-problem.ts';
import { keyUsage } from './postgres/rotation/key-usage.ts';
import { rewrapAll } from './postgres/rotation/rewrap-all.ts';
import type { RewrapProgress } from './postgres/rotation/rewrap-columns.ts';
import type { Unreadable } from './postgres/rotation/unreadable.ts';
import {
  beginRotation,
  finishRotation,
  removeSigningKey,
  signingKeyStatus,
  type KeyWork,
} from './postgres/signing-keys.ts';
import { createTenants, type Tenants } from './postgres/tenants.ts';
import { revokeTokensOf } from './relay/signing-keys.ts';

/** 0: done. 1: it could not be done, or not wholly. 2: it was not understood. */
export type KeysExitCode = 0 | 1 | 2;

/** Where a command writes: what it did, and what keeps it from doing more. */
export interface KeysOutput {
  readonly print: (text: string) => void;
  readonly complain: (text: string) => void;
}

/** Seconds that a new key waits before it signs. Every process reads the stored keys anew after two. */
export const PENDING_SECONDS = 5;

const USAGE = `Usage:
  npm run keys -- status          the keys of share tokens, and what each key-encryption key has sealed
  npm run keys -- rotate          a new key signs; the one before verifies for another 24 hours
  npm run keys -- remove <kid>    at once and for good: its open tokens are revoked
  npm run keys -- rewrap          the first key of each ring seals everything; the others can leave then
  npm run keys -- adopt-plain     seals what was stored before there was encryption: once, right after that upgrade

  --yes         with adopt-plain: do it
  --by <name>   who did it, for the audit trail: A-Z a-z 0-9 . _ @ -
`;

const ADOPTION = `adopt-plain seals what was stored before there was encryption, in the database and in MEDIA_STORE.
Whatever is not sealed counts as nobody's and is never read, until this command takes all of it for your own. So run it
once, right after the upgrade from a release without encryption, with every process stopped, before you start them.
Run it at no other time: what is plain then was put there by somebody who holds no key. It leaves an event in the audit
trail of the platform. Keys that sign share tokens were never stored plain, and are not taken.
`;

/** Between two words of how far it is. */
const SHOW_EVERY_MS = 1_000;

const OPERATOR = /^[A-Za-z0-9._@-]{1,64}$/;

/** A command was not understood. */
class NotUnderstood extends Error {}

/** It can't be done. The message says why, and what to do. */
class NotDone extends Error {}

interface Tools {
  readonly tenants: Tenants;
  readonly handoff: HandoffTenants;
  readonly sealer: Sealer;
  readonly config: KeysConfig;
  readonly media: MediaStore;
  readonly actor: Actor;
  /** Whether `--yes` was given. */
  readonly confirmed: boolean;
  readonly print: (text: string) => void;
}

type Command = (tools: Tools, argument: string) => Promise<void>;

const COMMANDS: Readonly<Record<string, { readonly run: Command; readonly takes: 0 | 1 }>> = {
  status: { run: showStatus, takes: 0 },
  rotate: { run: rotate, takes: 0 },
  remove: { run: remove, takes: 1 },
  rewrap: { run: rewrap, takes: 0 },
  'adopt-plain': { run: adopt, takes: 0 },
};

/** Runs `npm run keys` with the arguments after `--`. */
export async function runKeys(args: readonly string[], env: Environment, output: KeysOutput): Promise<KeysExitCode> {
  try {
    const { run, argument, ...given } = readArguments(args);
    await withTools(await readConfig(env), { ...given, print: output.print }, (tools) => run(tools, argument));
    return 0;
  } catch (error) {
    if (error instanceof NotUnderstood) {
      output.complain(`handoff: ${error.message}\n${USAGE}`);
      return 2;
    }
    output.complain(`handoff: ${whyNot(error)}`);
    return 1;
  }
}

function readArguments(args: readonly string[]): Given & { readonly run: Command; readonly argument: string } {
  const read = () => {
    try {
      const options = { by: { type: 'string' }, yes: { type: 'boolean' } } as const;
      return parseArgs({ args: [...args], options, allowPositionals: true });
    } catch (error) {
      throw new NotUnderstood((error as Error).message);
    }
  };
  const { values, positionals } = read();
  const [name = '', ...rest] = positionals;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    throw new NotUnderstood(name === '' ? 'name what to do' : `there is no command ${JSON.stringify(name)}`);
  }
  if (rest.length !== command.takes) {
    throw new NotUnderstood(
      command.takes === 1 ? `name the key to ${name}` : `${name} takes nothing more, not ${JSON.stringify(rest[0])}`,
    );
  }
  if (values.by !== undefined && !OPERATOR.test(values.by)) {
    throw new NotUnderstood(`--by ${JSON.stringify(values.by)} is no name: 1 to 64 of A-Z a-z 0-9 . _ @ -`);
  }
  const confirmed = values.yes === true;
  if (confirmed && command.run !== adopt) throw new NotUnderstood(`${name} takes no --yes`);
  return { run: command.run, argument: rest[0] ?? '', operator: values.by ?? null, confirmed };
}

/** What the options say. */
interface Given {
  readonly operator: string | null;
  readonly confirmed: boolean;
}

async function readConfig(env: Environment): Promise<KeysConfig> {
  const given = await withSecrets(env);
  const config = 'problems' in given ? given : readKeysConfig(given.env);
  if ('problems' in config) throw new NotDone(config.problems.join('\nhandoff: '));
  return config;
}

async function withTools(
  config: KeysConfig,
  { operator, confirmed, print }: Given & Pick<KeysOutput, 'print'>,
  work: (tools: Tools) => Promise<void>,
): Promise<void> {
  const tenants = createTenants({ databaseUrl: config.databaseUrl });
  const sealer = createSealer({ content: config.contentEncryptionKeys, secrets: config.keyEncryptionKeys });
  const handoff = handoffTenants(tenants, sealer, createBlindIndex(config.blindIndexKey));
  const media = openMediaStore(config.mediaStore);
  try {
    const actor: Actor = { kind: 'system', id: operator };
    await work({ tenants, handoff, sealer, config, media, actor, confirmed, print });
  } finally {
    await media.close();
    await tenants.close();
  }
}

async function showStatus({ tenants, handoff, config, print }: Tools): Promise<void> {
  const keys = await handoff.acrossTenants('keys', (_tx, sql) => signingKeyStatus(sql));
  if (keys.length === 0) print('There is no key yet: the first server that starts makes one.');
  const rows = keys.map(({ kid, state, since, openTokens }) => [kid, state, secondsOf(since), String(openTokens)]);
  if (keys.length > 0) print(table([['key', 'state', 'since', 'open tokens'], ...rows]));
  print('');
  const usage = await keyUsage(tenants);
  const sealed = ringsOf(config).flatMap(([setting, { activeKid, kids }]) => {
    const under = usage.filter(({ ring }) => ring === setting);
    // Those that the ring holds, and those that it should.
    const names = new Set([...kids, ...under.map(({ state, kid }) => kid ?? state)]);
    return [...names].map((name) => {
      const count = under.reduce((sum, { state, kid, rows: some }) => sum + ((kid ?? state) === name ? some : 0), 0);
      return [
        setting,
        name,
        String(count),
        wordOn(name, { isFirst: name === activeKid, held: kids.includes(name), count }),
      ];
    });
  });
  print(table([['setting', 'key', 'rows', ''], ...sealed]));
}

function ringsOf(config: KeysConfig): readonly (readonly [setting: string, ring: KeyRing])[] {
  return [
    ['CONTENT_ENCRYPTION_KEYS', config.contentEncryptionKeys],
    ['KEY_ENCRYPTION_KEYS', config.keyEncryptionKeys],
  ];
}

function wordOn(
  name: string,
  is: { readonly isFirst: boolean; readonly held: boolean; readonly count: number },
): string {
  if (is.isFirst) return 'seals';
  if (is.held) return is.count === 0 ? 'can leave the ring' : 'only opens: rewrap';
  if (name === 'plain') return 'not sealed, so never read: see "Upgrading" in docs/operations.md';
  return name === 'damaged' ? 'begins as nothing that we write: restore it' : 'is in no ring: put it back';
}

async function rotate(tools: Tools): Promise<void> {
  const { print } = tools;
  const { kid, ageSeconds } = await changing(tools, beginRotation);
  const left = Math.ceil(PENDING_SECONDS - ageSeconds);
  print(`${kid} is pending${left > 0 ? `: every process knows it in ${left} s` : ' and known to every process'}`);
  if (left > 0) await pause(left * 1000);
  const before = await changing(tools, (work) => finishRotation(work, kid));
  if (before === undefined) throw new NotDone(`${kid} is not pending any more: somebody else changed it; see status`);
  print(`${kid} signs`);
  if (before !== null) print(`${before} verifies for another 24 hours, and is removed then`);
}

async function remove(tools: Tools, kid: string): Promise<void> {
  const { handoff, print } = tools;
  const outcome = await changing(tools, (work) => removeSigningKey(work, kid));
  if (outcome === 'unknown') throw new NotDone(`there is no key ${kid}: see status`);
  if (outcome === 'removed') print(`${kid} was removed before`);
  else
    print(
      `${kid} is removed: its tokens are refused${outcome.activeKid === null ? '' : `; ${outcome.activeKid} signs`}`,
    );
  let revoked = 0;
  for (let batch = -1; batch !== 0; revoked += batch) batch = await revokeTokensOf(kid, handoff);
  print(`${revoked} open tokens of it were revoked, and none is left; the onboarding worker looks on for ten minutes`);
}

async function rewrap({ tenants, handoff, sealer, config, actor, print }: Tools): Promise<void> {
  let shown = 0;
  const progress = ({ table: name, column, done, total }: RewrapProgress) => {
    const now = performance.now();
    if (done < total && now - shown < SHOW_EVERY_MS) return;
    shown = now;
    if (total > 0) print(`${name}.${column}: ${done} of ${total}`);
  };
  const tell = (reason: string) =>
    handoff.acrossTenants('keys', async (tx) =>
      tx.events.record([{ type: 'storage.rewrapped', applicationId: PLATFORM_ID, reason }], actor),
    );
  await tell('begun');
  const { rewrapped, unreadable, complete } = await rewrapAll({ tenants, sealer }, progress);
  await tell(`rows=${rewrapped}`);
  print(`${rewrapped} rows are sealed anew`);
  nameRows(unreadable, print);
  if (unreadable.rows > 0) {
    throw new NotDone(
      `no key opens ${unreadable.rows} rows: see status, put back the key that sealed them, and repeat the command`,
    );
  }
  if (!complete)
    throw new NotDone(
      'others were sealing with other keys meanwhile: have every process begin with the same key, and repeat the command',
    );
  print('Nothing is under another key than the first of its ring');
  for (const [setting, { activeKid, kids }] of ringsOf(config)) {
    print(`${setting}: ${activeKid} seals everything`);
    const others = kids.filter((kid) => kid !== activeKid);
    if (others.length > 0) {
      print(
        `${setting}: nothing is under ${others.join(', ')}, which can leave, or, if it is a new one, has to be put first`,
      );
    }
  }
}

async function adopt({ tenants, handoff, sealer, media, actor, confirmed, print }: Tools): Promise<void> {
  print(ADOPTION);
  if (!confirmed) throw new NotDone('nothing was changed: add --yes to do it');
  const { sessions, rows, unreadable, complete } = await adoptPlain({ tenants, handoff, sealer, media }, actor);
  print(`${sessions} sessions and ${rows} rows besides are sealed`);
  nameRows(unreadable, print);
  if (unreadable.rows > 0) {
    throw new NotDone(
      `${unreadable.rows} sessions have no data key though they are sealed: restore them from a backup`,
    );
  }
  if (!complete) throw new NotDone('others were writing meanwhile: stop every process, and repeat the command');
}

function nameRows({ first }: Unreadable, print: (text: string) => void): void {
  for (const row of first) print(`no key opens ${row.table}.${row.column} of ${row.id}`);
}

/** Runs one step of a change in its own transaction. */
function changing<T>({ handoff, sealer, actor }: Tools, step: (work: KeyWork) => Promise<T>): Promise<T> {
  return handoff.acrossTenants('keys', (tx, sql) => step({ tx, sql, sealer, actor }));
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** A time without its fraction of a second. */
function secondsOf(isoTime: string): string {
  return isoTime.replace(/\.\d+Z$/, 'Z');
}

/** Our own sentences, or the kind of a library's error: messages of those may hold what belongs in no log. */
function whyNot(error: unknown): string {
  if (error instanceof NotDone) return error.message;
  if (error instanceof MediaStoreUnavailable)
    return 'MEDIA_STORE does not answer; repeat the command, which goes on where it stopped';
  const login = loginProblem(error, 'keys', 'handoff');
  if (login !== null) return login;
  const { error: kind, code } = errorKind(error);
  return `the database in DATABASE_URL refused it or cannot be reached (${code ?? kind}); repeat the command, which goes on where it stopped`;
}

if (import.meta.main) {
  process.exitCode = await runKeys(process.argv.slice(2), process.env, {
    print: (text) => process.stdout.write(`${text}\n`),
    complain: (text) => process.stderr.write(`${text}\n`),
  });
}
