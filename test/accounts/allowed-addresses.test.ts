import { describe, expect, it } from 'vitest';
import { isAllowedFrom, readNetwork, showNetwork } from '../../src/accounts/allowed-addresses.ts';

describe('a network', () => {
  it.each([
    ['203.0.113.7', '203.0.113.7/32', '203.0.113.7'],
    ['10.0.0.0/8', '10.0.0.0/8', '10.0.0.0/8'],
    ['0.0.0.0/0', '0.0.0.0/0', '0.0.0.0/0'],
    ['::1', '::1/128', '::1'],
    ['2001:DB8:0:0::/32', '2001:db8::/32', '2001:db8::/32'],
    ['::/0', '::/0', '::/0'],
    ['::ffff:203.0.113.7', '203.0.113.7/32', '203.0.113.7'],
    ['::ffff:10.0.0.0/104', '10.0.0.0/8', '10.0.0.0/8'],
  ])('%s is stored as %s and shown as %s', (text, stored, shown) => {
    expect(readNetwork(text)).toBe(stored);
    expect(showNetwork(stored)).toBe(shown);
  });

  it.each([
    '',
    'example.com',
    '10',
    '10.0.0',
    '0x0a.0.0.1',
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '256.0.0.1',
    '2001:db8::1/32',
    '2001:db8::/129',
    'fe80::1%eth0',
    '10.0.0.0/8 ',
    '1:2:3',
  ])('is not %j', (text) => {
    expect(readNetwork(text)).toBeNull();
  });
});

describe('a key', () => {
  it('without networks is allowed from everywhere', () => {
    expect(isAllowedFrom([], 'anything')).toBe(true);
  });

  it.each([
    ['10.255.255.255', true],
    ['::ffff:10.1.2.3', true],
    ['::ffff:a01:203', true],
    ['11.0.0.0', false],
    ['2001:db8:ffff::1', true],
    ['2001:db9::1', false],
    ['', false],
    ['unknown', false],
  ])('from %s: %s', (address, allowed) => {
    expect(isAllowedFrom(['10.0.0.0/8', '2001:db8::/32'], address)).toBe(allowed);
  });
});
