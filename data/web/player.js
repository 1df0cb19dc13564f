// One stream: the connection, which comes back by itself, and what it brings, in whichever form it was asked for.

import {EncodedDecoder, JpegDecoder, OpusDecoder} from './codecs.js';
import {AUDIO, PCM, PROTOCOL, VIDEO, parse, parseConfig} from './haven-v1.js';
import {Pictures} from './pictures.js';
import {decodePcm} from './sound.js';

const FIRST_DELAY = 500; // ms before connecting again; doubled each time
const LONGEST_DELAY = 10000;
const SILENCE = 10000; // ms without a message before we ask with a ping whether anyone is there; again, and we reconnect
const IN_VAIN = [4400, 4406]; // close codes after which the same would be answered again
const BACKLOG = 4; // JPEGs that may wait for the decoder, where they have a time; otherwise only the newest is of interest
const LATE = 20000; // µs that a picture may come after its sound before sound waits for it

export class Player extends EventTarget {
  #url;
  #ask;
  #sound;
  #pictures;
  #jpeg;
  #video;
  #opus;
  #socket = null;
  #opened = false;
  #complaint = ''; // why we closed it ourselves
  #delay = FIRST_DELAY;
  #timer = 0;
  #watch = 0;
  #heard = 0;
  #stopped = new AbortController();
  #own = {skipped: 0, broken: 0, bytes: 0, missed: 0, sequence: null, delay: null};

  /** Plays what comes from url, a WebSocket endpoint, on canvas and sound. With ask it speaks haven.v1, and otherwise the
   * form of the address, binary or JSON. Events: state, picture. */
  constructor(url, canvas, sound, ask = null) {
    super();
    this.#url = url;
    this.#ask = ask;
    this.#sound = sound;
    this.#pictures = new Pictures(canvas, () => ask ? sound.heard() : null);
    this.#pictures.addEventListener('picture', () => this.#seen());
    const give = (bitmap, time) => this.#pictures.add(bitmap, time);
    const fail = error => this.#giveUp(error);
    this.#jpeg = new JpegDecoder(give, this.#own, ask ? BACKLOG : 1);
    this.#video = new EncodedDecoder(give, fail);
    this.#opus = new OpusDecoder((samples, time) => sound.play(samples, time), fail);
  }

  /** shown; skipped: too late or too many for this browser; missed: too many for the way here; broken; bytes; delay in ms,
   * by the clocks of both; step in ms of the picture behind the sound; waiting pictures. */
  get figures() {
    const {shown, skipped, step} = this.#pictures.figures;
    const {broken, bytes, missed, delay} = this.#own;
    return {
      shown, skipped: skipped + this.#own.skipped, broken, bytes, missed, delay,
      step: step === null ? null : step / 1000, waiting: this.#pictures.waiting,
    };
  }

  start() {
    this.#sound.forget();
    this.#connect();
    this.#watch = setInterval(() => this.#lookAfter(), 1000);
    addEventListener('online', () => this.#connectNow(), {signal: this.#stopped.signal});
  }

  stop() {
    this.#stopped.abort();
    clearInterval(this.#watch);
    clearTimeout(this.#timer);
    this.#closeDecoders();
    this.#pictures.stop();
    const socket = this.#socket;
    this.#socket = null;
    if (!socket)
      return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  #closeDecoders() {
    for (const decoder of [this.#jpeg, this.#video, this.#opus])
      decoder.close();
  }

  #connectNow() {
    if (this.#socket && this.#socket.readyState <= WebSocket.OPEN)
      return;
    this.#delay = FIRST_DELAY;
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#timer);
    const socket = new WebSocket(this.#url, this.#ask ? PROTOCOL : []);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.#opened = true;
      this.#heard = performance.now();
      if (this.#ask)
        socket.send(JSON.stringify(this.#ask));
      this.#say('waiting');
    };
    socket.onmessage = ({data}) => this.#take(data);
    socket.onclose = event => this.#closed(socket, event);
    this.#socket = socket;
    this.#opened = false;
    this.#complaint = '';
    this.#own.sequence = null;
    this.#say('connecting');
  }

  async #closed(socket, {code, reason}) {
    if (socket !== this.#socket)
      return;
    this.#socket = null;
    this.#closeDecoders();
    reason ||= this.#complaint;
    if (!this.#opened)
      reason ||= await this.#askWhy();
    if (this.#stopped.signal.aborted || this.#socket)
      return;
    this.#say(IN_VAIN.includes(code) ? 'refused' : code === 1000 ? 'ended' : 'lost', reason);
    if (this.#stopped.signal.aborted || IN_VAIN.includes(code)) // by whom it was said to
      return;
    const delay = code === 1000 ? LONGEST_DELAY : this.#delay;
    this.#timer = setTimeout(() => this.#connect(), delay * (0.75 + Math.random() / 2));
    this.#delay = Math.min(this.#delay * 2, LONGEST_DELAY);
  }

  /** A decoder cannot go on: from a key frame it may, unless it does not know the codec at all. */
  #giveUp({name, message}) {
    this.#complaint = message;
    this.#socket?.close(name === 'NotSupportedError' ? 4406 : 4000);
  }

  /** A browser does not tell what a handshake was answered; the same address tells it in words. */
  async #askWhy() {
    const url = new URL(this.#url, location.href);
    url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
    try {
      const answer = await fetch(url, {cache: 'no-store', signal: this.#stopped.signal});
      return answer.status === 426 ? '' : (await answer.json()).detail;
    } catch {
      return '';
    }
  }

  #lookAfter() {
    const late = this.#pictures.figures.late;
    this.#pictures.figures.late = 0;
    if (late > LATE)
      this.#sound.wait(late);
    const silence = performance.now() - this.#heard;
    if (this.#socket?.readyState !== WebSocket.OPEN || silence < SILENCE)
      return;
    if (silence < 3 * SILENCE)
      this.#socket.send('ping'); // answered by pong, which is a message too
    else
      this.#socket.close(4000, 'no sign of life');
  }

  #seen() {
    const {time} = this.#pictures.figures;
    if (time !== null)
      this.#own.delay = Date.now() - time / 1000;
    this.dispatchEvent(new Event('picture'));
  }

  #take(data) {
    this.#heard = performance.now();
    this.#delay = FIRST_DELAY;
    this.#own.bytes += data.byteLength ?? data.length;
    if (typeof data === 'string')
      this.#takeText(data);
    else if (this.#ask)
      this.#takeMessage(parse(data));
    else
      this.#jpeg.decode(new Blob([data]), null);
  }

  // -- haven.v1

  #takeMessage(message) {
    if (message.track !== 0)
      return;
    if (message.kind === VIDEO)
      this.#takeVideo(message);
    else if (message.kind === AUDIO)
      this.#takeAudio(message);
  }

  #takeVideo(message) {
    const encoded = this.#ask.video === 'encoded';
    if (message.config) {
      if (encoded)
        this.#video.configure(parseConfig(message.payload));
      return;
    }
    this.#countMissed(message.sequence);
    if (encoded)
      this.#video.decode(message);
    else
      this.#jpeg.decode(new Blob([message.payload]), message.time);
  }

  #countMissed(sequence) {
    if (this.#own.sequence !== null)
      this.#own.missed += (sequence - this.#own.sequence - 1) >>> 0;
    this.#own.sequence = sequence;
  }

  #takeAudio(message) {
    if (message.config && message.codec !== PCM)
      this.#opus.configure(parseConfig(message.payload));
    else if (!message.config && message.codec === PCM)
      this.#sound.play(decodePcm(message.payload), message.time);
    else if (!message.config && this.#sound.on)
      this.#opus.decode(message);
  }

  // -- the older forms

  #takeText(text) {
    if (text.startsWith('audio:'))
      this.#sound.play(decodePcm(fromBase64(text.slice(6))), null);
    else if (text.startsWith('{'))
      this.#takeJson(JSON.parse(text));
  }

  #takeJson({type, data, timestamp}) {
    if (type === 'audio_frame')
      this.#sound.play(decodePcm(fromBase64(data)), null);
    if (type !== 'video_frame')
      return;
    this.#own.delay = Date.now() - Date.parse(timestamp);
    this.#jpeg.decode(new Blob([fromBase64(data)]), null);
  }

  #say(state, reason = '') {
    this.dispatchEvent(new CustomEvent('state', {detail: {state, reason}}));
  }
}

const fromBase64 = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
