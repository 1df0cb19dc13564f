// haven.v1, as docs/haven-v1.md has it: what a message says.

export const PROTOCOL = 'haven.v1';
export const VIDEO = 1, AUDIO = 2;
export const PCM = 16;

const HEADER = 16; // bytes
const KEY = 1, CONFIG = 2;

/** time is in µs since 1970, which a number holds; payload is a view of message. */
export function parse(message) {
  const header = new DataView(message);
  const flags = header.getUint8(2);
  return {
    kind: header.getUint8(0),
    codec: header.getUint8(1),
    key: Boolean(flags & KEY),
    config: Boolean(flags & CONFIG),
    track: header.getUint8(3),
    sequence: header.getUint32(4),
    time: Number(header.getBigInt64(8)),
    payload: new Uint8Array(message, HEADER),
  };
}

export const parseConfig = payload => JSON.parse(new TextDecoder().decode(payload));
