/** The subprotocols of a socket's upgrade (PROTOCOL.md, "Connecting"). */

import { SluiceError } from '../src/core/errors.ts';
import { SLUICE_RAW, SLUICE_V1 } from '../src/protocol/sluice-v1.ts';

/**
 * The subprotocol to agree to; undefined where none was offered. A client that offers some expects one of them in the
 * answer, and closes by itself where there is none.
 *
 * @throws SluiceError `unsupported_subprotocol`
 */
export function chooseProtocol(request: Request): typeof SLUICE_V1 | typeof SLUICE_RAW | undefined {
  const header = request.headers.get('sec-websocket-protocol');
  if (header === null) return undefined;
  const offered = header.split(',').map((protocol) => protocol.trim());
  if (offered.includes(SLUICE_V1)) return SLUICE_V1;
  if (offered.includes(SLUICE_RAW)) return SLUICE_RAW;
  throw new SluiceError(
    'unsupported_subprotocol',
    `No known subprotocol is among those that were offered: offer ${SLUICE_V1}, or ${SLUICE_RAW} or none for the raw mode`,
  );
}
