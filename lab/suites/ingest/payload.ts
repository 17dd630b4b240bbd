/**
 * The messages that a bench run sends: telemetry of the usual size (about 80 bytes), each with its device and its
 * number, so that the rows can be audited one by one. They hold nothing of the run: every run sends the same.
 */

/** The name of a client in a run. The run is part of it, so that rows of another run cannot pass for this one's. */
export function benchProducer(run: string, client: number): string {
  return `${run}-${client}`;
}

/** The device of a producer: its client, without the run. Messages hold it, to be told from those of other producers. */
export function benchDevice(producer: string): string {
  return `thermometer-${producer.slice(producer.lastIndexOf('-') + 1)}`;
}

/** The message `n` (from 0) of a producer. The figures vary with `n`; the same `n` always gives the same text. */
export function benchPayload(producer: string, n: number): string {
  return `{"device":"${benchDevice(producer)}","n":${n},"temperature":${20 + (n % 97) / 10},"humidity":${40 + (n % 31)},"status":"ok"}`;
}

/** The messages `from` to before `to` of a producer, as one frame. */
export function benchFrame(producer: string, from: number, to: number): string {
  let frame = benchPayload(producer, from);
  for (let n = from + 1; n < to; n += 1) frame += `\n${benchPayload(producer, n)}`;
  return frame;
}

/** The messages `from` to before `to` of a producer, one text each. */
export function benchPayloads(producer: string, from: number, to: number): string[] {
  const payloads: string[] = [];
  for (let n = from; n < to; n += 1) payloads.push(benchPayload(producer, n));
  return payloads;
}

/** The header line that such a frame has in `sluice.v1`, where sequences begin at 1. */
export function benchHeader(from: number, to: number): string {
  return `{"t":"batch","seq":${from + 1},"n":${to - from}}\n`;
}
