export class ReferenceClient {
  unacked = []; // messages with the sequences `acked + 1` and up, as lines of JSON
  acked = 0;
  sent = 0; // the highest sequence that was sent on this connection
  failures = 0;

  constructor(url, { open = (address) => new WebSocket(address, 'sluice.v1'), ...told } = {}) {
    Object.assign(this, { url, open, onNack: console.error, onEnd: console.error, ...told });
    this.connect();
  }

  send(message) {
    this.unacked.push(JSON.stringify(message).replaceAll('\ufffd', '\\ufffd'));
    this.pump();
  }

  connect() {
    const socket = this.open(this.url);
    this.credit = undefined; // nothing may be sent before the welcome
    socket.onopen = () => {
      const { epoch, session } = this;
      const goOn = session === undefined ? {} : { resume: true, epoch, session, next: this.acked + 1 };
      socket.send(JSON.stringify({ t: 'hello', ack: 'committed', ...goOn }));
    };
    socket.onmessage = ({ data }) => this.hear(socket, JSON.parse(data));
    socket.onerror = () => {}; // the close follows
    socket.onclose = ({ code, reason }) => {
      // These say that to come back changes nothing: somebody has to look.
      if ([4400, 4401, 4403, 4404, 4409, 4410].includes(code)) return this.onEnd(`${code} ${reason}`);
      if (this.isClosing && this.unacked.length === 0) return this.onEnd();
      const leastMs = code === 4429 ? 30_000 : 0;
      const mostMs = this.drainMs ?? Math.min(30_000, 250 * 2 ** this.failures++);
      setTimeout(() => this.connect(), leastMs + Math.random() * mostMs);
    };
    this.socket = socket;
  }

  hear(socket, frame) {
    if (frame.credit !== undefined) this.credit = frame.credit;
    if (frame.t === 'welcome') {
      const { epoch, session } = frame;
      Object.assign(this, { epoch, session, sent: this.acked, failures: 0, drainMs: undefined });
    } else if (frame.t === 'ack') {
      this.unacked.splice(0, Math.max(0, frame.committed - this.acked));
      this.acked = Math.max(this.acked, frame.committed);
      if (this.isClosing && this.unacked.length === 0) socket.close(1000);
    } else if (frame.t === 'nack') {
      // A message that was refused for good is covered by the acks that follow.
      if (!frame.temporary) this.onNack(frame);
      // No room: again from there, once an ack or a flow brings credit.
      else Object.assign(this, { sent: frame.from - 1, credit: undefined });
    } else if (frame.t === 'gap') this.sent = frame.expected - 1;
    else if (frame.t === 'ping') socket.send(JSON.stringify({ t: 'pong', id: frame.id }));
    else if (frame.t === 'drain') Object.assign(this, { credit: undefined, drainMs: frame.retryMs }); // the close follows
    this.pump();
  }

  pump() {
    for (;;) {
      const ahead = this.sent - this.acked;
      const room = Math.min(this.credit?.messages ?? 0, 1_000) - ahead;
      const lines = room <= 0 ? [] : this.unacked.slice(ahead, ahead + Math.min(room, 100));
      if (lines.length === 0) return;
      this.socket.send(`{"t":"batch","seq":${this.sent + 1},"n":${lines.length}}\n${lines.join('\n')}`);
      this.sent += lines.length;
    }
  }

  close() {
    this.isClosing = true;
    if (this.unacked.length === 0) this.socket.close(1000);
  }
}
