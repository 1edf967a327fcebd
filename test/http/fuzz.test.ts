import { writeFileSync } from 'node:fs';
import pino from 'pino';
import { expect, it } from 'vitest';
import { fuzz, FUZZ_PHASES } from '../support/schemathesis.ts';
import { testApi } from './api.ts';
import { holdingsOf, holdingsOfPerson } from './holdings.ts';
import { FOR_PEOPLE, newPerson } from './people.ts';

/** Examples of each operation: a few in every run, many where there is time. */
const EXAMPLES = Number(process.env['FUZZ_EXAMPLES'] ?? 5);
const SEED = Number(process.env['FUZZ_SEED'] ?? 1);
/** By default all of them. */
const PHASES = FUZZ_PHASES.filter((phase) => (process.env['FUZZ_PHASES'] ?? phase).split(',').includes(phase));

/** What is not sent, and why. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  logOut: 'its first call ends the login that all other calls are made with',
};

/** What the app logs of its own faults. */
const faults: string[] = [];
const api = testApi({ ...FOR_PEOPLE, logger: pino({ level: 'error' }, { write: (line) => void faults.push(line) }) });

/*
 * Of Schemathesis' other checks: unknown members are ignored on Didit's routes, and a request that fits its schema may
 * name what is not there, so neither `negative_data_rejection` nor `positive_data_acceptance` can hold; a method that a
 * path does not answer is 404, not 405 (`unsupported_method`); keys and tenants are the matrix's.
 */
it(
  'no generated request gets a 5xx, an answer that is not documented, or one that breaks its schema',
  async () => {
    const brand = await api.newBrand();
    const person = await newPerson(api);
    const held = [];
    for (let n = 0; n < 4; n += 1) held.push(await holdingsOf(api, brand, await api.newBrand(), String(n)));
    held.push(await holdingsOfPerson(person));
    const places: Record<string, string[]> = {};
    for (const [place, id] of held.flatMap((some) => Object.entries(some))) (places[place] ??= []).push(id);
    const sent = { requests: 0, serverErrors: 0 };
    const origin = await api.app.listen({ host: '127.0.0.1', port: 0 });
    api.app.server.on('request', (_request, response) => {
      response.once('finish', () => {
        sent.requests += 1;
        if (response.statusCode >= 500) sent.serverErrors += 1;
      });
    });
    const { held: answersHeld, report } = await fuzz({
      document: `${origin}/v1/openapi.json`,
      origin,
      headers: { 'x-api-key': brand.key, authorization: `Bearer ${person.accessToken}` },
      without: Object.keys(LEFT_OUT),
      places,
      members: {
        for_application_id: api.partner.id,
        partner_application_id: (await api.newBrand()).id,
        workflow_id: brand.workflows.user,
        session_id: held[0]?.['/v3/session/:session_id'] ?? '',
      },
      examples: EXAMPLES,
      seed: SEED,
      phases: PHASES,
    });
    const { FUZZ_COUNTS: countsFile } = process.env;
    if (countsFile !== undefined) writeFileSync(countsFile, JSON.stringify(sent));
    expect(answersHeld, [report, ...faults].join('\n')).toBe(true);
    expect(sent.serverErrors).toBe(0);
    expect(sent.requests).toBeGreaterThan(100);
  },
  // The long run ends by its examples.
  Math.max(240_000, EXAMPLES * 60_000),
);
