/** The address that a client connects from, as limits know it. */

/** Longest text of an address: IPv6 with an IPv4 address at its end. */
const MAX_ADDRESS_LENGTH = 45;

/**
 * The name under which an address is counted: IPv4 as it is; of IPv6 its network of 64 bits, since one client has all addresses
 * of such a network, and would have a limit for each.
 *
 * @param given `CF-Connecting-IP`. On Cloudflare nobody can forge it
 * @returns undefined where there is none, or it is no address
 */
export function addressKey(given: string | null | undefined): string | undefined {
  const text = given?.trim().toLowerCase() ?? '';
  if (text === '' || text.length > MAX_ADDRESS_LENGTH) return undefined;
  if (isIpv4(text)) return text;
  if (!/^[0-9a-f:.]+$/.test(text) || !text.includes(':')) return undefined;
  const mapped = /^(?:0{0,4}:){2,5}ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(text)?.[1];
  if (mapped !== undefined) return isIpv4(mapped) ? mapped : undefined;
  const [head = '', tail, surplus] = text.split('::');
  if (surplus !== undefined) return undefined;
  const front = head === '' ? [] : head.split(':');
  const back = tail === undefined || tail === '' ? [] : tail.split(':');
  const missing = 8 - front.length - back.length - (text.includes('.') ? 1 : 0);
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const groups = [...front, ...Array.from({ length: missing }, () => '0'), ...back].slice(0, 4);
  if (!groups.every((group) => /^[0-9a-f]{1,4}$/.test(group))) return undefined;
  return `${groups.map((group) => group.replace(/^0+(?=.)/, '')).join(':')}::/64`;
}

function isIpv4(text: string): boolean {
  const parts = text.split('.');
  return parts.length === 4 && parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255);
}
