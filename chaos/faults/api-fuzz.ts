import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../../torture/lab.ts';
import { same, within, type Part, type Row } from '../../torture/part.ts';
import { inLab } from './in-lab.ts';
import { testsPass } from './test-run.ts';

const LONG_REQUESTS = 100_000;
const QUICK = { examples: 5, phases: 'fuzzing,stateful' };
const LONG = { examples: 50, phases: 'examples,coverage,fuzzing,stateful' };

interface Counts {
  readonly requests: number;
  readonly serverErrors: number;
}

const fuzz: Part = {
  name: 'fuzz',
  shows: 'generated requests to every operation: no 5xx, and nothing that the contract does not say',
  run: async (lab) => {
    const rows: Row[] = [];
    const sum = { requests: 0, serverErrors: 0 };
    const wanted = lab.quick ? 1 : LONG_REQUESTS;
    // One that fails may have sent nothing, and might do so for ever.
    for (let seed = 1; sum.requests < wanted && rows.every(({ ok }) => ok); seed += 1) {
      lab.say(`F21: ${sum.requests} of ${wanted} requests sent; seed ${seed}`);
      const { row, counts } = await runSeed(lab, seed);
      rows.push(row);
      sum.requests += counts.requests;
      sum.serverErrors += counts.serverErrors;
    }
    return [
      ...rows,
      within('requests sent', sum.requests, [wanted, Infinity]),
      same('of them answered 5xx', sum.serverErrors, 0),
    ];
  },
};

/** Requests that a fuzzer made of the published contract. */
export const apiFuzz = inLab(
  { id: 'F21', what: 'requests generated from the OpenAPI document: no 5xx in 100,000' },
  fuzz,
);

async function runSeed(lab: Lab, seed: number): Promise<{ readonly row: Row; readonly counts: Counts }> {
  const { examples, phases } = lab.quick ? QUICK : LONG;
  const countsFile = join(lab.folder, `counts-${seed}.json`);
  const row = await testsPass(lab, `Schemathesis, seed ${seed}`, ['test/http/fuzz.test.ts'], {
    FUZZ_EXAMPLES: String(examples),
    FUZZ_PHASES: phases,
    FUZZ_SEED: String(seed),
    FUZZ_COUNTS: countsFile,
  });
  // A run that broke before it sent anything has counted nothing.
  const counted = existsSync(countsFile) ? readFileSync(countsFile, 'utf8') : '{ "requests": 0, "serverErrors": 0 }';
  return { row, counts: JSON.parse(counted) as Counts };
}
