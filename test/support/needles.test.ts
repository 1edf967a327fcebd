import { expect, it } from 'vitest';
import { needleSearch } from './needles.ts';

const text = 'Cn0a1b2c3dx0k9';
const { find } = needleSearch([
  { name: 'it', text },
  { name: 'another', text: 'Zz99887766554' },
  { name: 'short', text: 'K7PX4M' },
]);
const base64 = (before: string) => Buffer.from(`${before}${text}, and more`).toString('base64');

it.each([
  ['as it is', `<${text}>`],
  ['alone', text],
  ['in another case', text.toUpperCase()],
  ['in hexadecimal', Buffer.from(text).toString('hex')],
  ['in upper-case hexadecimal', `\\x00${Buffer.from(text).toString('hex').toUpperCase()}`],
  ['in base64', base64('')],
  ['in base64, one later', base64('a')],
  ['in base64, two later', base64('ab')],
  ['in base64url', Buffer.from(`~~~?${text}`).toString('base64url')],
])('a needle is found %s', (_how, haystack) => {
  expect(find(Buffer.from(haystack))).toEqual(['it']);
});

it('a short one in its own case alone, and nothing is found where nothing is', () => {
  expect(find(Buffer.from('the code is K7PX4M.'))).toEqual(['short']);
  expect(find(Buffer.from('k7px4m'))).toEqual([]);
  expect(find(Buffer.from(text.slice(0, -1)))).toEqual([]);
  expect(find(Buffer.alloc(0))).toEqual([]);
});

it('a number in base64 is more than the six digits that ids and times hold by chance', () => {
  const { find: findNumber } = needleSearch([{ name: 'phone', text: '7700900417' }]);
  for (const before of ['', 'ab']) {
    expect(findNumber(Buffer.from(Buffer.from(`${before}7700900417,`).toString('base64')))).toEqual(['phone']);
  }
  expect(findNumber(Buffer.from(Buffer.from('at 009004').toString('base64')))).toEqual([]);
});
