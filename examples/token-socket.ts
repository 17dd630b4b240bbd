/** In a page: a raw socket with a token, without the client library. */
export function openSocket(address: string, token: string): WebSocket {
  const base64url = btoa(token).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  return new WebSocket(`${address}/ws/notes?producer=page-1`, ['sluice.raw', `sluice.token.${base64url}`]);
}
