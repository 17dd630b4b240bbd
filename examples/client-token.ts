import { SluiceClient } from 'sluice/client';

export function reportWithToken(address: string, fetchToken: () => Promise<string>): SluiceClient {
  return new SluiceClient({ url: `${address}/ws/messages`, producer: 'kitchen', token: fetchToken });
}
