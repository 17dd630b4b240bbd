/** What the page of page.ts tells the test. */
export type PageReport =
  /** What its storage had at the start. */
  | { type: 'found'; texts: string[] }
  /** What its storage says that it has now. */
  | { type: 'kept'; texts: string[] }
  | { type: 'acked'; run: number; text: string }
  | { type: 'refused'; text: string; code: string }
  | { type: 'event'; name: string; event: string }
  | { type: 'closed'; inDoubt: string[]; unacked: number; timedOut: boolean };
