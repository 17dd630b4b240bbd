#!/usr/bin/env node
/**
 * Stands for websocat 1.x where it is not installed, as far as the documentation uses it. What it does is what websocat's
 * documentation says: between a stream and a socket it works in lines, each line a message, its newline included; what comes in is
 * written as a line, with blanks for the newlines in it. With -0 (--null-terminated) a zero byte ends a message in both
 * directions, and newlines are left alone. At the end of its input it closes the socket, unless -n (--no-close) is given.
 */

import { WebSocket } from 'ws';

const args = process.argv.slice(2);
let isNullTerminated = false;
let isKeptOpen = false;
let protocol;
let url = '';
while (args.length > 0) {
  const arg = args.shift() ?? '';
  if (arg === '--protocol') protocol = args.shift();
  else if (/^-[0n]+$/.test(arg)) {
    isNullTerminated ||= arg.includes('0');
    isKeptOpen ||= arg.includes('n');
  } else if (arg.startsWith('-')) throw new Error(`This websocat does not know ${arg}`);
  else url = arg;
}

const end = isNullTerminated ? '\0' : '\n';
const socket = new WebSocket(url, protocol);
socket.on('message', (data) => {
  const text = String(data);
  process.stdout.write(
    (isNullTerminated ? text : text.replace(/\r?\n$/, '').replaceAll(/[\r\n]/g, ' ')) + end,
  );
});
socket.on('close', () => process.exit(0));
socket.on('open', () => {
  let rest = '';
  const send = (record) => socket.send(isNullTerminated ? record : `${record}\n`);
  process.stdin.setEncoding('utf8').on('data', (text) => {
    const records = (rest + text).split(end);
    rest = records.pop() ?? '';
    for (const record of records) send(record);
  });
  process.stdin.on('end', () => {
    if (rest !== '') socket.send(rest);
    if (!isKeptOpen) socket.close();
  });
});
