import { randomUUID, type KeyObject } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { readSigningKey } from '../../src/audit/anchors.ts';
import { runAudit } from '../../src/audit/command-line.ts';
import { anchorLine, endLine, eventLine, headerLine } from '../../src/audit/export.ts';
import { readWorkerConfig, type Environment } from '../../src/config.ts';
import { PLATFORM_ID } from '../../src/domain/ids.ts';
import { readAnchorCopies, readSealedEvents } from '../../src/postgres/audit-reads.ts';
import { testContentEnv } from '../support/app-parts.ts';
import { auditLab, testSeed, testSigner } from '../support/audit-lab.ts';

const lab = auditLab();
const application = randomUUID();
const { CONTENT_ENCRYPTION_KEYS } = testContentEnv() as { CONTENT_ENCRYPTION_KEYS: string };
const seed = testSeed().toString('base64url');

beforeAll(async () => {
  await lab.write(application, 3);
  await lab.seal();
  await lab.anchor();
  await lab.write(application, 1);
  await lab.seal();
  await lab.write(application, 1);
});

const environment = (more: Environment = {}): Environment => ({
  DATABASE_URL: lab.database.url,
  AUDIT_ANCHORS: pathToFileURL(lab.folder).href,
  AUDIT_PUBLIC_KEY: lab.signer.publicKey,
  ...more,
});

async function run(args: string, env: Environment = environment()) {
  const printed: string[] = [];
  const complaints: string[] = [];
  const code = await runAudit(args === '' ? [] : args.split(' '), env, {
    print: (text) => printed.push(text),
    complain: (text) => complaints.push(text),
  });
  return { code, printed: printed.join('\n'), complaints: complaints.join('\n') };
}

describe('audit verify', () => {
  it('prints a line for each application, and what is not proven yet', async () => {
    const { code, printed } = await run('verify', environment({ CONTENT_ENCRYPTION_KEYS }));
    expect(code).toBe(0);
    expect(printed.split('\n').map((line) => line.replaceAll(/ {2,}/g, ' | '))).toEqual([
      'application | verified | anchored up to | of | waiting | result',
      expect.stringMatching(`^${application} \\| 4 \\| 3 \\| \\d{4}-.*Z \\| 1 \\| ok$`),
      '',
      'Every one of 4 sealed events of 1 applications is as it was sealed, in its place.',
      'Of these, 1 came after the last anchor: nothing outside the database shows them yet.',
      'Not sealed yet: 1.',
    ]);
  });

  it('says what it did not look at', async () => {
    expect((await run('verify')).printed).toContain('set CONTENT_ENCRYPTION_KEYS for that');
    const { code, printed } = await run('verify --without-anchors', { DATABASE_URL: lab.database.url });
    expect(code).toBe(0);
    expect(printed).toContain('Without anchors that proves no more');
  });

  it('ends with 1 and a sentence when something is wrong', async () => {
    await lab.save();
    await lab.tamper(`update event set type = 'share.minted' where application_id = $1 and sequence = 1`, [
      application,
    ]);
    const { code, printed } = await run('verify');
    await lab.restore();
    expect(code).toBe(1);
    expect(printed).toMatch(
      new RegExp(`FAILED: Event .* \\(share\\.minted\\) at position 1 of ${application} was altered after`),
    );
    expect(printed).toMatch(new RegExp(`${application}  up to 0 of 4  3 .* event_altered`));
    expect(printed).not.toContain('is as it was sealed');
  });

  it('takes its key from an option, the environment, or the signing key', async () => {
    const none = { AUDIT_PUBLIC_KEY: '' };
    expect((await run('verify', environment({ ...none, AUDIT_SIGNING_KEY: seed }))).code).toBe(0);
    expect((await run(`verify --public-key ${lab.signer.publicKey}`, environment(none))).code).toBe(0);
    const two = `${testSigner(11).publicKey},${lab.signer.publicKey}`;
    expect((await run('verify', environment({ AUDIT_PUBLIC_KEY: two }))).code).toBe(0);
    expect(await run(`verify --public-key ${testSigner(11).publicKey}`)).toMatchObject({
      code: 1,
      printed: expect.stringContaining('name every public key that was ever in use') as string,
    });
  });

  it('names a key that was not given once, however many anchors it signed', async () => {
    const { printed } = await run(`verify --public-key ${testSigner(11).publicKey}`);
    const failures = printed.split('\n').filter((line) => line.startsWith('FAILED: '));
    expect(failures).toEqual([expect.stringContaining(`No public key with the id ${lab.signer.keyId} was given`)]);
    expect(printed).toContain('anchor_key_unknown');
  });

  it.each<[string, string, Environment, string]>([
    ['no database', 'verify', { DATABASE_URL: '' }, 'DATABASE_URL is missing'],
    ['no anchors', 'verify', { AUDIT_ANCHORS: '' }, 'AUDIT_ANCHORS is missing'],
    ['no key', 'verify', { AUDIT_PUBLIC_KEY: '' }, 'AUDIT_PUBLIC_KEY is missing'],
    ['half a key', 'verify', { AUDIT_PUBLIC_KEY: 'abc' }, 'AUDIT_PUBLIC_KEY must be public keys'],
    ['half a key as an option', 'verify --public-key abc', {}, '--public-key must be a key'],
    ['a wrong signing key', 'verify', { AUDIT_SIGNING_KEY: 'abc' }, 'AUDIT_SIGNING_KEY must be a seed of 32'],
    [
      'a database that is away',
      'verify',
      { DATABASE_URL: 'postgres://127.0.0.1:1/x' },
      'cannot be read (ECONNREFUSED)',
    ],
    [
      'anchors that are away',
      'verify',
      { AUDIT_ANCHORS: 'file:///dev/null' },
      'the anchors in AUDIT_ANCHORS cannot be read',
    ],
    ['no command', '', {}, 'Usage:'],
    ['another command', 'destroy', {}, 'there is no command "destroy"'],
    ['another option', 'verify --fast', {}, "'--fast'"],
    ['two files', 'verify a b', {}, 'verify takes no "b"'],
    ['a file to export', 'export a', {}, 'export takes no "a"'],
    ['half an application', 'export --application abc', {}, '"abc" is neither'],
    ['an application to verify', 'verify --application platform', {}, 'verify takes no --application'],
    ['no database to export', 'export', { DATABASE_URL: '' }, 'DATABASE_URL is missing'],
    ['no such file', 'verify none.ndjson', {}, 'the export cannot be read (ENOENT)'],
    ['no signing key', 'public-key', {}, 'AUDIT_SIGNING_KEY is missing'],
  ])('ends with 2 and says why with %s', async (_what, args, more, complaint) => {
    const { code, complaints, printed } = await run(args, environment(more));
    expect([code, printed]).toEqual([2, '']);
    expect(complaints).toContain(complaint);
    expect(complaints).not.toContain('    at ');
  });
});

describe('audit with a login of processes', () => {
  it('says which login it needs', async () => {
    await lab.rows(`create role only_looks login password 'looks'`);
    const url = new URL(lab.database.url);
    [url.username, url.password] = ['only_looks', 'looks'];
    try {
      const { code, complaints } = await run('verify', environment({ DATABASE_URL: url.href }));
      expect([code, complaints]).toEqual([2, expect.stringContaining('another member of handoff_verify (42501)')]);
      url.password = 'wrong';
      expect((await run('verify', environment({ DATABASE_URL: url.href }))).complaints).toContain(
        'its password (28P01)',
      );
    } finally {
      await lab.rows('drop role only_looks');
    }
  });
});

describe('audit verify of a file', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'handoff-export-')), 'audit.ndjson');
  const write = async (change = (text: string) => text) => {
    const page = { afterPosition: 0, limit: 100 };
    const lines = await lab.tenants.withTenant(application, async (tx) => {
      const [anchors, events] = await Promise.all([
        readAnchorCopies(tx, application, page),
        readSealedEvents(tx, application, page),
      ]);
      return [
        headerLine({
          applicationId: application,
          exportedAt: '2026-11-05T10:00:00Z',
          since: null,
          until: null,
          after: null,
        }),
        ...anchors.map(anchorLine),
        ...events.map(eventLine),
        endLine({ events: events.length, links: 0, anchors: anchors.length }),
      ];
    });
    writeFileSync(file, change(lines.join('')));
  };

  it('needs the public key alone', async () => {
    await write();
    const { code, printed } = await run(`verify ${file} --public-key ${lab.signer.publicKey}`, {});
    expect(code).toBe(0);
    expect(printed).toContain(`Export of ${application}: 4 events, positions 1 to 4.`);
    expect(printed).toContain('at position 3 is genuine, and agrees.');
    expect(printed).toContain('Not proven by any anchor in it: 1 events.');
    expect(printed).toMatch(
      /It proves nothing of what came after position 4, of \d{4}-.*Z, or that nothing did: compare/,
    );
    expect((await run(`verify ${file}`, {})).code).toBe(2);
    expect((await run(`verify ${file} --without-anchors`, {})).code).toBe(0);
  });

  it('ends with 1 when it was altered', async () => {
    await write((text) => text.replace('manual_review', 'some_review'));
    const { code, printed } = await run(`verify ${file}`);
    expect(code).toBe(1);
    expect(printed).toContain('at position 1 was altered after it was sealed');
    expect(printed).toContain(`Export of ${application}: verified up to position 0 of 4.`);
  });
});

describe('audit export', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'handoff-cli-export-')), 'trail.ndjson');
  const verifyPrinted = async (text: string) => {
    writeFileSync(file, `${text}\n`);
    return run(`verify ${file} --public-key ${lab.signer.publicKey}`, {});
  };

  it('prints an application’s trail, which verifies without the database', async () => {
    const { code, printed } = await run(`export --application ${application}`, { DATABASE_URL: lab.database.url });
    expect(code).toBe(0);
    expect((await verifyPrinted(printed)).printed).toContain(`Export of ${application}: 4 events, positions 1 to 4.`);
  });

  it('prints the platform’s trail when nobody is named', async () => {
    await lab.write(PLATFORM_ID, 2);
    await lab.seal();
    await lab.anchor();
    const { printed } = await run('export', { DATABASE_URL: lab.database.url });
    expect((await run('export --application platform')).printed.split('\n').slice(1)).toEqual(
      printed.split('\n').slice(1),
    );
    expect(await verifyPrinted(printed)).toMatchObject({
      code: 0,
      printed: expect.stringContaining(`Export of ${PLATFORM_ID}: 2 events, positions 1 to 2.`) as string,
    });
  });
});

describe('audit public-key', () => {
  it('prints what anchors are verified with', async () => {
    expect(await run('public-key', { AUDIT_SIGNING_KEY: seed })).toEqual({
      code: 0,
      printed: lab.signer.publicKey,
      complaints: '',
    });
  });
});

/** A seed as an Ed25519 key in PKCS8, in base64url. */
function pkcs8Of(bytes: Buffer): string {
  return (readSigningKey(bytes) as KeyObject).export({ format: 'der', type: 'pkcs8' }).toString('base64url');
}

describe('the onboarding worker', () => {
  const read = (more: Environment) =>
    readWorkerConfig({ DATABASE_URL: 'postgres://db/handoff', ...testContentEnv(), ...more });

  it('has a signing key and a place for anchors, or does not start', () => {
    expect(read({})).toMatchObject({ audit: { anchors: { kind: 'directory' }, anchorSeconds: 60 } });
    expect(read({ AUDIT_SIGNING_KEY: '', AUDIT_ANCHORS: '' })).toEqual({
      problems: [
        expect.stringMatching(/^AUDIT_SIGNING_KEY is missing: make one with node -p "require/) as string,
        'AUDIT_ANCHORS is missing: set it to file:///a/folder or s3://bucket/prefix',
      ],
    });
  });

  it.each([
    ['AUDIT_SIGNING_KEY', Buffer.alloc(31).toString('base64url'), 'must be a seed of 32 random bytes'],
    ['AUDIT_SIGNING_KEY', 'not base64 !', 'must be a seed of 32 random bytes'],
    ['AUDIT_SIGNING_KEY', Buffer.alloc(32).toString('base64url'), 'AUDIT_SIGNING_KEY holds a key that is all zeros'],
    ['AUDIT_SIGNING_KEY', pkcs8Of(Buffer.alloc(32, 7)), 'AUDIT_SIGNING_KEY holds a key that repeats few bytes'],
    ['AUDIT_SIGNING_KEY', testContentEnv()['BLIND_INDEX_KEY'] ?? '', 'holds the same key as'],
    ['AUDIT_ANCHORS', 'http://anchors.example', 'must be file:///a/folder or s3://bucket/prefix'],
    ['AUDIT_ANCHOR_SECONDS', '0', 'must be a whole number from 1 to 86400'],
  ])('refuses %s %s', (name, value, problem) => {
    expect(read({ [name]: value })).toEqual({ problems: [expect.stringContaining(problem) as string] });
  });

  it('keeps anchors in a bucket too, at the server of the files', () => {
    const audit = { anchors: { kind: 's3', bucket: 'b', prefix: 'p/q', endpoint: 'http://s3.test' } };
    expect(read({ AUDIT_ANCHORS: 's3://b/p/q', S3_ENDPOINT: 'http://s3.test' })).toMatchObject({ audit });
  });
});
