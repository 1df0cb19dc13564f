// Runs on the browser's audio thread. Plays when enough is buffered (target, which the page may raise); holds at most
// SLACK more, then skips, so that sound never lags far. Tells the page the time of what it plays.

const TARGET = 0.1; // s
const SLACK = 0.2; // s
const REPORT = 0.1; // s between reports to the page

class JitterBuffer extends AudioWorkletProcessor {
  #chunks = []; // {samples, time}: time in µs of the first sample, or null
  #offset = 0; // samples of the first chunk that were played
  #count = 0; // samples that wait
  #target = TARGET;
  #playing = false;
  #gaps = 0;
  #peak = 0;
  #untilReport = 0;

  constructor() {
    super();
    this.port.onmessage = ({data}) => data.target ? this.#raise(data.target) : this.#push(data);
  }

  #push(chunk) {
    this.#chunks.push(chunk);
    this.#count += chunk.samples.length;
    if (this.#count > Math.max((this.#target + SLACK) * sampleRate, 2 * chunk.samples.length))
      this.#drop(this.#count - Math.max(this.#target * sampleRate, chunk.samples.length));
    if (this.#count >= this.#target * sampleRate)
      this.#playing = true;
  }

  #raise(target) {
    this.#target = target;
    this.#playing = this.#count >= target * sampleRate;
  }

  #drop(n) {
    for (n = Math.floor(n); n > 0 && this.#chunks.length;) {
      const left = this.#chunks[0].samples.length - this.#offset, taken = Math.min(n, left);
      this.#offset += taken;
      this.#count -= taken;
      n -= taken;
      if (taken === left) {
        this.#chunks.shift();
        this.#offset = 0;
      }
    }
  }

  /** Time in µs of the sample that is next, or null. */
  get #time() {
    const time = this.#chunks[0]?.time ?? null;
    return time === null ? null : time + this.#offset / sampleRate * 1e6;
  }

  #fill(out) {
    let done = 0;
    while (done < out.length && this.#chunks.length) {
      const part = this.#chunks[0].samples.subarray(this.#offset, this.#offset + out.length - done);
      out.set(part, done);
      done += part.length;
      this.#drop(part.length);
    }
    for (let i = 0; i < done; i++)
      this.#peak = Math.max(this.#peak, Math.abs(out[i]));
    if (done < out.length) { // dry: wait until target is there again
      this.#playing = false;
      this.#gaps++;
    }
  }

  process(inputs, [[out]]) {
    const time = this.#playing ? this.#time : null;
    if (this.#playing)
      this.#fill(out);
    this.#untilReport -= out.length / sampleRate;
    if (this.#untilReport <= 0) {
      this.port.postMessage({
        level: this.#peak, buffered: this.#count / sampleRate, gaps: this.#gaps, played: time === null ? null : {time, at: currentTime},
      });
      this.#peak = 0;
      this.#untilReport = REPORT;
    }
    return true;
  }
}

registerProcessor('jitter-buffer', JitterBuffer);
