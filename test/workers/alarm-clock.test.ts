import { describe, expect, it } from 'vitest';
import { AlarmClock } from '../../workers/alarm-clock.ts';

/** A storage that only remembers which alarms were set. */
function rememberingStorage() {
  const set: number[] = [];
  const setAlarm: DurableObjectStorage['setAlarm'] = async (atMs) => {
    set.push(Number(atMs));
  };
  return { set, storage: { setAlarm } };
}

describe('the alarm clock', () => {
  it('arms for the delay from now', () => {
    const { set, storage } = rememberingStorage();
    new AlarmClock(storage).armWithin(500, 10_000);
    expect(set).toEqual([10_500]);
  });

  it('writes once per interval however often it is asked', () => {
    const { set, storage } = rememberingStorage();
    const clock = new AlarmClock(storage);
    for (let nowMs = 10_000; nowMs < 10_500; nowMs += 1) clock.armWithin(500, nowMs);
    expect(set).toEqual([10_500]);
  });

  it('arms again when the alarm is a second late, because one that has not gone off by then may be lost', () => {
    const { set, storage } = rememberingStorage();
    const clock = new AlarmClock(storage);
    clock.armWithin(500, 10_000);
    clock.armWithin(500, 11_499);
    expect(set, 'on its way').toEqual([10_500]);
    clock.armWithin(500, 11_500);
    expect(set, 'late').toEqual([10_500, 12_000]);
  });

  it('arms again once the alarm has gone off', () => {
    const { set, storage } = rememberingStorage();
    const clock = new AlarmClock(storage);
    clock.armWithin(500, 10_000);
    clock.fired();
    clock.armWithin(500, 10_100);
    expect(set).toEqual([10_500, 10_600]);
  });

  it('brings an alarm forward that is further away than it is asked for, as after a long backoff', () => {
    const { set, storage } = rememberingStorage();
    const clock = new AlarmClock(storage);
    clock.armWithin(300_000, 10_000);
    expect([clock.isArmed(20_000), clock.isArmed(20_000, 500)]).toEqual([true, false]);
    clock.armWithin(300_000, 20_000);
    expect(set, 'sooner than it is asked for is soon enough').toEqual([310_000]);
    clock.armWithin(500, 20_000);
    clock.armWithin(500, 20_100);
    expect(set).toEqual([310_000, 20_500]);
  });

  it('knows nothing of the alarm that an earlier instance set, and so arms at the first message', () => {
    const { set, storage } = rememberingStorage();
    new AlarmClock(storage).armWithin(500, 10_000);
    new AlarmClock(storage).armWithin(500, 10_001);
    expect(set).toEqual([10_500, 10_501]);
  });
});
