// The stage of a page: picture, notice, sound and figures of the stream that is being watched.

import {Player} from './player.js';
import {Sound} from './sound.js';

const element = id => document.getElementById(id);

const FIGURES = ['fps', 'shown', 'skipped', 'missed', 'delay', 'step', 'rate', 'size'];
const milliseconds = value => value === null ? '–' : `${Math.round(value)} ms`;

const STATES = {
  idle: ['Nothing is watched', ''],
  connecting: ['Connecting…', ''],
  waiting: ['Connected', 'Waiting for the first picture…'],
  live: ['Live', ''],
  ended: ['Ended', 'The stream has ended. It is shown again when it returns.'],
  lost: ['Connection lost', 'Trying again…'],
  refused: ['Not shown', 'This cannot be shown.'],
};

export class Stage extends EventTarget {
  player = null; // (nullable)
  sound = new Sound();
  state = 'idle';
  #canvas = element('picture');
  #last = null; // what the figures were a second ago

  /** Takes over the elements of the page that have the ids below. Events: state. */
  constructor() {
    super();
    this.#wireSound();
    this.#wireFullscreen();
    setInterval(() => this.#showFigures(), 1000);
    setInterval(() => this.#showSound(), 100);
  }

  /** Plays from a WebSocket of whichever form, instead of what was played; ask as Player has it. */
  play(url, ask) {
    this.stop();
    const player = this.player = new Player(url, this.#canvas, this.sound, ask);
    player.addEventListener('state', ({detail}) => this.show(detail));
    player.addEventListener('picture', () => {
      element('size').textContent = `${this.#canvas.width} × ${this.#canvas.height}`;
      if (this.state !== 'live')
        this.show({state: 'live'});
    });
    player.start();
  }

  stop() {
    this.player?.stop();
    this.player = this.#last = null;
    this.#canvas.getContext('2d').clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    for (const id of FIGURES)
      element(id).textContent = '–';
    this.show({state: 'idle'});
  }

  show({state, reason}) {
    const [word, notice] = STATES[state];
    this.state = state;
    element('state').textContent = word;
    element('state').dataset.state = state;
    element('notice').textContent = reason && (state === 'lost' || state === 'refused') ? `${notice} (${reason})` : notice;
    this.dispatchEvent(new Event('state'));
  }

  #wireSound() {
    const button = element('sound');
    button.addEventListener('click', async () => {
      try {
        await (this.sound.on ? this.sound.stop() : this.sound.start());
      } catch (error) {
        element('notice').textContent = `No sound: ${error.message}`;
      }
      button.setAttribute('aria-pressed', String(this.sound.on));
      button.textContent = this.sound.on ? 'Turn sound off' : 'Turn sound on';
    });
  }

  #wireFullscreen() {
    const button = element('fullscreen');
    button.hidden = !document.fullscreenEnabled;
    button.addEventListener('click', () => document.querySelector('.stage').requestFullscreen());
  }

  #showFigures() {
    if (!this.player)
      return;
    const {shown, skipped, missed, delay, step, bytes} = this.player.figures;
    const time = performance.now();
    const last = this.#last ?? {time: time - 1000, shown, bytes};
    const seconds = (time - last.time) / 1000;
    element('fps').textContent = ((shown - last.shown) / seconds).toFixed(1);
    element('shown').textContent = shown;
    element('skipped').textContent = skipped;
    element('missed').textContent = missed;
    element('delay').textContent = milliseconds(delay);
    element('step').textContent = milliseconds(step);
    element('rate').textContent = `${((bytes - last.bytes) * 8 / seconds / 1e6).toFixed(1)} Mbit/s`;
    this.#last = {time, shown, bytes};
  }

  #showSound() {
    element('level').value = Math.sqrt(this.sound.level); // closer to how loud it seems
    element('buffer').textContent = this.sound.on ? `${Math.round(this.sound.buffered * 1000)} ms` : '–';
  }
}
