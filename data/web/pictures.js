// Pictures on a canvas, each when its time has come by the clock of the sound; without sound, as soon as it is there.

const MOST = 24; // pictures that wait; with more, the oldest is not worth showing
const EARLY = 8000; // µs: half a frame of the screen, so that a picture is as often early as late

export class Pictures extends EventTarget {
  #canvas;
  #context;
  #clock;
  #queue = []; // {bitmap, time}, in order
  #frame = 0;
  #stopped = false;

  figures = {shown: 0, skipped: 0, late: 0, step: null, time: null};
  // late: µs, the most since someone set it to 0; step: µs that the picture is behind the sound; time: of what is shown

  /** clock() gives the time in µs of what is being heard, or null. Event: picture. */
  constructor(canvas, clock) {
    super();
    this.#canvas = canvas;
    this.#context = canvas.getContext('2d', {alpha: false, desynchronized: true});
    this.#clock = clock;
  }

  get waiting() {
    return this.#queue.length;
  }

  /** Takes the bitmap over. time is null where nobody knows it. */
  add(bitmap, time) {
    const heard = this.#clock();
    if (this.#stopped) { // the canvas is another's now
      bitmap.close();
      return;
    }
    if (time === null || heard === null) {
      this.#clear();
      this.#draw({bitmap, time}, null);
      return;
    }
    this.figures.late = Math.max(this.figures.late, heard - time);
    this.#queue.push({bitmap, time});
    if (this.#queue.length > MOST)
      this.#skip(this.#queue.shift());
    this.#frame ||= requestAnimationFrame(() => this.#showDue());
  }

  stop() {
    this.#stopped = true;
    cancelAnimationFrame(this.#frame);
    this.#clear();
  }

  #clear() {
    this.#queue.forEach(picture => this.#skip(picture));
    this.#queue = [];
  }

  #skip({bitmap}) {
    bitmap.close();
    this.figures.skipped++;
  }

  #showDue() {
    const heard = this.#clock();
    const now = heard === null ? Infinity : heard + EARLY;
    let due = null;
    this.#frame = 0;
    while (this.#queue.length && this.#queue[0].time <= now) {
      if (due)
        this.#skip(due);
      due = this.#queue.shift();
    }
    if (due)
      this.#draw(due, heard);
    if (this.#queue.length)
      this.#frame = requestAnimationFrame(() => this.#showDue());
  }

  #draw({bitmap, time}, heard) {
    const {width, height} = bitmap;
    if (this.#canvas.width !== width || this.#canvas.height !== height)
      Object.assign(this.#canvas, {width, height});
    this.#context.drawImage(bitmap, 0, 0);
    bitmap.close();
    this.figures.shown++;
    this.figures.time = time;
    this.figures.step = heard === null ? null : heard - time;
    this.dispatchEvent(new Event('picture'));
  }
}
