// Decoders of one stream: JPEG everywhere, the room's own video and Opus where the browser has WebCodecs.

export const hasWebCodecs = 'VideoDecoder' in globalThis && 'AudioDecoder' in globalThis;

/** give(bitmap, time) for each JPEG, in order; of more than backlog that wait the oldest is skipped; figures counts
 * those, and the broken. */
export class JpegDecoder {
  #give;
  #figures;
  #backlog;
  #waiting = [];
  #busy = false;

  constructor(give, figures, backlog) {
    this.#give = give;
    this.#figures = figures;
    this.#backlog = backlog;
  }

  decode(blob, time) {
    this.#waiting.push([blob, time]);
    if (this.#waiting.length > this.#backlog) {
      this.#waiting.shift();
      this.#figures.skipped++;
    }
    if (!this.#busy)
      this.#run();
  }

  async #run() {
    this.#busy = true;
    for (let next; (next = this.#waiting.shift());) {
      try {
        this.#give(await createImageBitmap(next[0]), next[1]); // no object URL, so none to leak
      } catch {
        this.#figures.broken++;
      }
    }
    this.#busy = false;
  }

  close() {
    this.#waiting = [];
  }
}

/** The same for encoded video. fail(error) when it cannot go on. */
export class EncodedDecoder {
  #give;
  #fail;
  #decoder = null;
  #last = Promise.resolve(); // bitmaps are made one after another, so that they stay in order

  constructor(give, fail) {
    this.#give = give;
    this.#fail = fail;
  }

  configure({codec}) {
    this.close();
    this.#decoder = new VideoDecoder({output: frame => this.#take(frame), error: this.#fail});
    this.#decoder.configure({codec, optimizeForLatency: true});
  }

  decode({key, time, payload}) {
    if (this.#decoder?.state === 'configured')
      this.#decoder.decode(new EncodedVideoChunk({type: key ? 'key' : 'delta', timestamp: time, data: payload}));
  }

  /** A copy: a decoder of hardware has few frames, and would wait for those that wait here. */
  #take(frame) {
    const copy = createImageBitmap(frame).finally(() => frame.close());
    this.#last = this.#last.then(async () => this.#give(await copy, frame.timestamp)).catch(this.#fail);
  }

  close() {
    if (this.#decoder && this.#decoder.state !== 'closed')
      this.#decoder.close();
    this.#decoder = null;
  }
}

/** hear(samples, time) for each packet, mono. */
export class OpusDecoder {
  #hear;
  #fail;
  #decoder = null;
  #times = []; // of the packets that are being decoded; a decoder counts on over what is missing

  constructor(hear, fail) {
    this.#hear = hear;
    this.#fail = fail;
  }

  configure({codec, sample_rate: sampleRate, channels: numberOfChannels}) {
    this.close();
    this.#decoder = new AudioDecoder({output: data => this.#take(data), error: this.#fail});
    this.#decoder.configure({codec, sampleRate, numberOfChannels});
  }

  decode({time, payload}) {
    if (this.#decoder?.state !== 'configured')
      return;
    this.#times.push(time);
    this.#decoder.decode(new EncodedAudioChunk({type: 'key', timestamp: time, data: payload}));
  }

  #take(data) {
    const samples = new Float32Array(data.numberOfFrames);
    const plane = new Float32Array(data.numberOfFrames);
    for (let planeIndex = 0; planeIndex < data.numberOfChannels; planeIndex++) {
      data.copyTo(plane, {planeIndex, format: 'f32-planar'});
      for (let i = 0; i < samples.length; i++)
        samples[i] += plane[i] / data.numberOfChannels;
    }
    data.close();
    this.#hear(samples, this.#times.shift() ?? null);
  }

  close() {
    if (this.#decoder && this.#decoder.state !== 'closed')
      this.#decoder.close();
    this.#decoder = null;
    this.#times = [];
  }
}
