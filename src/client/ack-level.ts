/** What the promise of a message waits for (PROTOCOL.md, "Acknowledgement levels"). */
export type AckLevel = 'none' | 'stored' | 'committed';
