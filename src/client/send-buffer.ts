/** How much a client keeps at most, and how much it keeps. Dropped messages take no room. */
export class SendBuffer {
  readonly maxMessages: number;
  readonly maxBytes: number;
  messages = 0;
  utf8Size = 0;

  constructor(maxMessages: number, maxBytes: number) {
    this.maxMessages = maxMessages;
    this.maxBytes = maxBytes;
  }

  get hasRoom(): boolean {
    return this.messages < this.maxMessages && this.utf8Size < this.maxBytes;
  }

  fits(bytes: number): boolean {
    return this.messages < this.maxMessages && this.utf8Size + bytes <= this.maxBytes;
  }

  add(messages: number, bytes: number): void {
    this.messages += messages;
    this.utf8Size += bytes;
  }
}
