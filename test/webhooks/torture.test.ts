import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { withLab } from '../../torture/lab.ts';
import type { Part } from '../../torture/part.ts';
import { addresses } from '../../torture/parts/addresses.ts';
import { crashes } from '../../torture/parts/crashes.ts';
import { delays } from '../../torture/parts/delays.ts';
import { hostileReceivers } from '../../torture/parts/hostile.ts';
import { redirects } from '../../torture/parts/redirects.ts';
import { replies } from '../../torture/parts/replies.ts';
import { rotation } from '../../torture/parts/rotation.ts';
import { signatures } from '../../torture/parts/signatures.ts';
import type { Servers } from '../../torture/servers.ts';

/* What `npm run webhooks:torture -- --quick` does, but for the part that compares times. */

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'handoff-torture-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const servers = (): Servers => ({
  postgres: async () => ({ adminUrl: inject('postgresAdminUrl'), template: inject('templateDatabase') }),
  temporalAddress: async () => inject('temporalAddress'),
  timeSkippingServer: async () => inject('testServerPath'),
  bundlePath: async () => inject('bundlePath'),
});

const parts: readonly Part[] = [replies, delays, hostileReceivers, redirects, addresses, rotation, signatures, crashes];

test.each(parts.map((part) => ({ name: part.name, part })))('$name', async ({ name, part }) => {
  const said: string[] = [];
  const options = {
    quick: true,
    measured: false,
    servers: servers(),
    folder: join(folder, name),
    say: (line: string) => said.push(line),
  };
  const rows = await withLab(options, (lab) => part.run(lab));
  expect(rows.length).toBeGreaterThan(0);
  expect(rows.filter(({ ok }) => !ok)).toEqual([]);
});
