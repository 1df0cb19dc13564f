// The settings: only what a person has changed is sent.

import {call} from './api.js';

const element = id => document.getElementById(id);
const NAMES = ['livekit_url', 'livekit_api_key', 'livekit_api_secret', 'token_endpoint', 'recording_directory'];

export class Settings {
  #known = {};

  constructor(attempt) {
    element('config').addEventListener('submit', event => {
      event.preventDefault();
      element('saved').textContent = '';
      attempt(event.submitter, () => this.#save());
    });
  }

  async refresh() {
    element('saved').textContent = '';
    this.#show(await call('GET', 'api/config'));
  }

  async #save() {
    const fields = element('config').elements;
    const changed = NAMES.filter(name => fields[name].value.trim() !== (this.#known[name] ?? ''));
    const body = Object.fromEntries(changed.map(name => [name, fields[name].value.trim()]));
    this.#show(await call('PUT', 'api/config', body));
    element('saved').textContent = changed.length ? 'Saved.' : 'Nothing has changed.';
  }

  #show(config) {
    this.#known = config;
    for (const name of NAMES)
      element('config').elements[name].value = config[name] ?? '';
    element('secret-set').textContent = config.livekit_api_secret_set
      ? '(set; leave empty to keep it)' : '(not set)';
  }
}
