import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
/** What is told to people and machines elsewhere: nothing in it may hold here only. */
const TOLD =
  /^(docs\/|README|SECURITY|CHANGELOG|samples\/|docker|Dockerfile|\.env\.example|\.npmrc|package(-lock)?\.json)/;
/** A folder of somebody's machine, or a package registry by its host. */
const HERE =
  /(^|[\s"'`(=:])\/(work|home|root|Users|tmp)\/[\w.-]|[A-Z]:\\Users\\|\bregistry\.[\w-]+\.\w+|npmjs\.(org|com)|\/-\/[\w.-]+\.tgz/;

const files = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' })
  .split('\n')
  .filter((path) => TOLD.test(path) && !/\.(png|jpg|pdf)$/.test(path));

it('no document or setting names a folder of a machine, or a registry', () => {
  expect(files).toEqual(expect.arrayContaining(['.env.example', 'README.md', 'package-lock.json', 'docs/api.md']));
  const found = files.flatMap((path) =>
    readFileSync(join(ROOT, path), 'utf8')
      .split('\n')
      .flatMap((line, index) => (HERE.test(line) ? [`${path}:${index + 1} ${line.trim().slice(0, 120)}`] : [])),
  );
  expect(found).toEqual([]);
});
