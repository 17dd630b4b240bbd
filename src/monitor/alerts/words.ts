/** Figures as people read them. */

/** `7 s`, `12 min`, `3 h`, `2 days`: one unit, rounded down, so that it is never more than was. */
export function timeText(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 1) return `${Math.round(ms)} ms`;
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h` : `${Math.floor(hours / 24)} days`;
}

/** `62 %`, `1.4 %`. */
export function shareText(share: number): string {
  const percent = share * 100;
  return `${percent < 10 ? Number(percent.toFixed(1)) : Math.round(percent)} %`;
}

/** `1 message waits`, `18,200 messages wait`. */
export function waitingText(messages: number): string {
  return messages === 1 ? '1 message waits' : `${countText(messages)} messages wait`;
}

/** `18,200`. */
export function countText(count: number): string {
  return String(Math.round(count)).replaceAll(/\B(?=(\d{3})+$)/g, ',');
}
