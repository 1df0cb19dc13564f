// The page of the control server: which view is shown, what the server tells by itself, and errors.

import {address, call, setToken} from './api.js';
import {AutoRecord} from './auto.js';
import {Library} from './library.js';
import {Settings} from './settings.js';
import {Watch} from './watch.js';

const element = id => document.getElementById(id);
const VIEWS = ['watch', 'recordings', 'settings'];
const RETRY = 2000; // ms

const KINDS = { // what a person can do about it differs
  0: 'No server',
  401: 'Locked',
  409: 'Not now',
  429: 'Too much at once',
  502: 'LiveKit refuses',
  503: 'No room for more',
  504: 'LiveKit does not answer',
  507: 'The disk is full',
};

function complain({message, status, retryAfter}) {
  const box = element('error');
  box.hidden = false;
  box.querySelector('h2').textContent = KINDS[status] ?? 'That did not work';
  box.querySelector('p').textContent = retryAfter ? `${message} It may work again in ${retryAfter} s.` : message;
  if (status === 401)
    askToken();
}

function askToken() {
  element('access').hidden = false;
  element('token').focus();
}

/** Runs what a person asked for; control cannot be used meanwhile. */
async function attempt(control, action) {
  const focused = document.activeElement;
  element('error').hidden = true;
  if (control)
    control.disabled = true;
  try {
    await action();
  } catch (error) {
    complain(error);
  } finally {
    if (control)
      control.disabled = false;
    if (control && control === focused)
      control.focus();
  }
}

function showView() {
  const wanted = location.hash.slice(1);
  const view = VIEWS.includes(wanted) ? wanted : 'watch';
  for (const name of VIEWS)
    element(name).hidden = name !== view;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#${view}`)
      link.setAttribute('aria-current', 'page');
    else
      link.removeAttribute('aria-current');
  }
  if (view !== 'recordings')
    library.close();
  refresh(view);
}

function refresh(view) {
  if (view === 'recordings')
    return attempt(null, () => library.refresh());
  if (view === 'settings')
    return attempt(null, () => Promise.all([settings.refresh(), auto.refresh()]));
  return attempt(null, () => watch.refresh());
}

function showServer(state, text) {
  element('server').dataset.state = state;
  element('server').textContent = text;
}

/** Asks first, because an EventSource does not tell why it failed. */
async function listen() {
  try {
    await watch.begin();
  } catch (error) {
    showServer('lost', error.status === 401 ? 'Locked' : 'Server lost');
    if (error.status === 401)
      return complain(error);
    return setTimeout(listen, RETRY);
  }
  const events = new EventSource(address('api/events'));
  events.onopen = () => showServer('live', 'Connected');
  events.onerror = () => {
    events.close();
    showServer('lost', 'Server lost');
    setTimeout(listen, RETRY);
  };
  events.addEventListener('session', ({data}) => watch.tell(JSON.parse(data)));
  events.addEventListener('recording', ({data}) => {
    watch.refresh().catch(() => {});
    library.tell(JSON.parse(data));
    auto.tell();
  });
}

const watch = new Watch(attempt, complain);
const library = new Library(attempt);
const settings = new Settings(attempt);
const auto = new AutoRecord(attempt);

element('error').querySelector('button').addEventListener('click', () => element('error').hidden = true);
element('access').addEventListener('submit', event => {
  event.preventDefault();
  setToken(element('token').value);
  element('access').hidden = element('error').hidden = true;
  listen();
});
addEventListener('hashchange', showView);
window.haven = {watch, library, get player() { return watch.stage.player; }, sound: watch.stage.sound};
showView();
listen();
