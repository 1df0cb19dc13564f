// Sound of a stream: mono at 48 kHz, played by an AudioWorklet behind a small jitter buffer; and the clock that pictures
// follow.

export const RATE = 48000;
const LEAST = 0.1, MOST = 0.5; // s that the jitter buffer waits for

export class Sound {
  #context = null;
  #node = null;
  #starting = null;
  #played = null; // {time, at}: what of the stream was played (µs) when in the life of the context (s)
  #target = LEAST;

  level = 0; // 0 to 1, of what is being played
  buffered = 0; // s
  gaps = 0; // times the buffer ran dry

  get on() {
    return this.#context?.state === 'running' && this.#node !== null;
  }

  /** For a look from outside: the node that everything comes from. */
  get node() {
    return this.#node;
  }

  /** Browsers let sound begin only in the handler of a click or key. */
  async start() {
    this.#starting ??= this.#open();
    await this.#starting;
    await this.#context.resume();
  }

  async stop() {
    await this.#context?.suspend();
    this.#played = null;
    this.level = this.buffered = 0;
  }

  async #open() {
    this.#context = new AudioContext({sampleRate: RATE, latencyHint: 'interactive'});
    await this.#context.audioWorklet.addModule(new URL('sound-worklet.js', import.meta.url));
    this.#node = new AudioWorkletNode(this.#context, 'jitter-buffer', {numberOfInputs: 0, outputChannelCount: [1]});
    this.#node.port.onmessage = ({data: {level, buffered, gaps, played}}) => {
      Object.assign(this, {level, buffered, gaps});
      this.#played = played ?? this.#played; // while nothing is played, time goes on
    };
    this.#node.connect(this.#context.destination);
  }

  /** Another stream: what was played says nothing of it. */
  forget() {
    this.#played = null;
  }

  /** samples: Float32Array, which is given away; time in µs of the first, or null. */
  play(samples, time) {
    if (!this.on)
      return;
    this.#node.port.postMessage({samples, time}, [samples.buffer]);
  }

  /** The time in µs of what leaves the loudspeaker now; null where nothing does, or nobody knows. */
  heard() {
    if (!this.on || !this.#played)
      return null;
    const {contextTime, performanceTime} = this.#context.getOutputTimestamp();
    const now = contextTime + (performance.now() - performanceTime) / 1000;
    return this.#played.time + (now - this.#played.at) * 1e6;
  }

  /** Pictures came so many µs after the sound they belong to: sound waits longer from now on. */
  wait(late) {
    const target = Math.min(this.#target + late / 1e6, MOST);
    if (!this.on || target <= this.#target)
      return;
    this.#target = target;
    this.#node.port.postMessage({target});
  }
}

/** s16le, as bytes. */
export function decodePcm(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const samples = new Float32Array(bytes.byteLength >> 1);
  for (let i = 0; i < samples.length; i++)
    samples[i] = view.getInt16(2 * i, true) / 32768;
  return samples;
}
