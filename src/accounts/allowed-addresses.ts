import ipaddr from 'ipaddr.js';

/**
 * Reads an address or a network (`10.0.0.0/8`, `2001:db8::1`) and writes it as a canonical CIDR, an IPv4 address in
 * IPv6's form as IPv4. Null for anything else, and for a network whose host bits are set.
 */
export function readNetwork(text: string): string | null {
  // Whatever else the parser takes for an address (octal, one number) nobody means.
  if (!/^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)(?:\/\d{1,3})?$/i.test(text)) return null;
  try {
    const [address, bits] = text.includes('/') ? ipaddr.parseCIDR(text) : hostOf(ipaddr.parse(text));
    const [network, prefix] = unmapped(address, bits);
    const cidr = `${network.toString()}/${prefix}`;
    const first =
      network.kind() === 'ipv4' ? ipaddr.IPv4.networkAddressFromCIDR(cidr) : ipaddr.IPv6.networkAddressFromCIDR(cidr);
    return first.toString() === network.toString() ? cidr : null;
  } catch {
    return null;
  }
}

/** A canonical CIDR as it was written: a single address without its length. */
export function showNetwork(cidr: string): string {
  return cidr.replace(cidr.includes(':') ? /\/128$/ : /\/32$/, '');
}

/** Whether an address is in one of these networks; every address is when there are none. */
export function isAllowedFrom(networks: readonly string[], address: string): boolean {
  if (networks.length === 0) return true;
  if (!ipaddr.isValid(address)) return false;
  const caller = ipaddr.process(address);
  return networks.some((text) => {
    const [network, bits] = ipaddr.parseCIDR(text);
    return caller.kind() === network.kind() && caller.match(network, bits);
  });
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

function hostOf(address: Address): [Address, number] {
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

function unmapped(address: Address, bits: number): [Address, number] {
  if (address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() && bits >= 96) {
    return [address.toIPv4Address(), bits - 96];
  }
  return [address, bits];
}
